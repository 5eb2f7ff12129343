"""Which trainers there are; apart from them, since the configuration is checked without torch."""

TRAINERS = {
    "yolo": ("cia.training.yolo", "detection"),
    "timm": ("cia.training.classifier", "classification"),
}
"""Kind of trainer: the module whose `train` does it, and the task it is for."""

"""What all trainers share; apart from them, since the configuration is checked without torch."""

DECIDED = {
    **dict.fromkeys(("imgsz", "batch", "epochs", "patience"), "a setting of its own"),
    **dict.fromkeys(("data", "model", "name", "project", "save_dir", "exist_ok"), "the workflow's"),
    **dict.fromkeys(("device", "workers", "seed", "resume", "pretrained"), "the workflow's"),
    **dict.fromkeys(("nbs", "save", "val", "time", "fraction"), "the workflow's"),
    **dict.fromkeys(("split", "task", "mode", "cfg"), "the workflow's"),
    "rect": "not for training sets in random order",
}
"""Arguments of ultralytics' train that `options` can't set, and whose they are."""

LOOKS = 10
"""Epochs, so looks at val, of a training whose steps are set; of fewer steps, each is an epoch."""

"""Ultralytics, imported so that it neither phones home nor installs nor unpickles code."""

import os
import shutil
from pathlib import Path
from types import ModuleType


def import_ultralytics() -> ModuleType:
    """Import ultralytics with its background traffic off.

    - YOLO_OFFLINE: no usage analytics, no look-up of newer versions; a model file that the config
      names is still downloaded when it is missing.
    - YOLO_AUTOINSTALL: no pip behind the user's back.
    - SAFE_LOAD: checkpoints are loaded with weights_only, where only ultralytics' own classes and
      torch's layers can be made from a file.
    - `PIL.Image.open` stays Pillow's: ultralytics puts one in its place that, for a file that is no
      picture, wants to install a package.
    """
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    import ultralytics
    from PIL import Image
    from ultralytics.nn import tasks
    from ultralytics.utils import patches

    Image.open = patches._image_open
    tasks.SAFE_LOAD = True  # also if something else has imported it before
    return ultralytics


def copy_fonts(folder: Path) -> None:
    """Give ultralytics' settings folder the fonts that it would fetch: matplotlib brings one."""
    import matplotlib

    font = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    for name in ("Arial.ttf", "Arial.Unicode.ttf"):
        shutil.copy2(font, folder / name)

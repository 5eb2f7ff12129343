"""Make the library importable, as it is beside the scripts."""

import sys
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

# On a busy machine an example may take longer than hypothesis allows by default.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

"""Where the checks find real photographs and videos."""

from __future__ import annotations

import os
from pathlib import Path


def sample_folder() -> Path:
    """Return the folder of samples: MOBILEINST_SHARED_DATA, or ``shared/data`` beside the repository."""
    beside = Path(__file__).parents[2].parent / "shared" / "data"
    return Path(os.environ.get("MOBILEINST_SHARED_DATA", beside))

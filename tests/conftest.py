"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is loaded


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real COCO images and real video with masks; the test is skipped where they are not beside the repository."""
    folder = Path(os.environ.get("MOBILEINST_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "coco_mini").is_dir():
        pytest.skip("the real sample images are not here; set MOBILEINST_SHARED_DATA to their folder")
    return folder

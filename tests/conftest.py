"""Fixtures that every test may ask for."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from suite.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line does, before torch is loaded
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real COCO images and real video with masks; the test is skipped where they are not beside the repository."""
    folder = Path(os.environ.get("MOBILEINST_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "coco_mini").is_dir():
        pytest.skip("the real sample images are not here; set MOBILEINST_SHARED_DATA to their folder")
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[Sequence[object], int], str]:
    """Runs a command that must end with an exit code and one line on standard error; returns that line."""

    def run(words: Sequence[object], code: int) -> str:
        capsys.readouterr()
        assert main([str(word) for word in words]) == code
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.count("\n") == 1
        return printed.err

    return run

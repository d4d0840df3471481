"""Workers change nothing but speed; a stuck or dead one, and a bad picture, end the training with its state saved."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from suite.errors import DataError, InputError, StoppedError
from suite.training import workers
from suite.training.data.batches import FileSource
from suite.training.initial import How
from suite.training.parts import Batch
from suite.training.state import StateFiles
from tests.suite.training.tiny import run, small_recipe, weights_of

HELPED = How(device="cpu", workers=2)


def test_workers_that_prepare_batches_change_nothing(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=3, image_stage_fraction=0.5)
    together, alone = run(recipe, tmp_path / "together", how=HELPED), run(recipe, tmp_path / "alone")
    assert torch.equal(weights_of(alone.model), weights_of(together.model))


@pytest.mark.parametrize(
    ("fault", "error"),
    [("stuck", DataError), ("stopped while stuck", StoppedError), ("killed", InputError), ("bad picture", InputError)],
)
def test_the_state_is_saved_where_no_data_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, error: type[Exception]
) -> None:
    batch, own, began = FileSource.batch, os.getpid(), time.monotonic()

    def spoilt(self: FileSource, iteration: int, rank: int, world_size: int) -> Batch:
        if iteration == 2:
            if fault == "bad picture" or (os.getpid() == own and fault == "killed"):
                raise InputError("x.jpg: cannot be read")
            time.sleep(3 if fault == "killed" else 600)  # until what this worker has drawn before has been sent
            os.kill(os.getpid(), signal.SIGKILL)
        return batch(self, iteration, rank, world_size)

    monkeypatch.setattr(FileSource, "batch", spoilt)
    if fault == "stuck":
        monkeypatch.setattr(workers, "PATIENCE_S", 3.0)
    elif fault == "stopped while stuck":
        threading.Timer(5, os.kill, (own, signal.SIGTERM)).start()
    with pytest.raises(error):
        run(small_recipe(), tmp_path, how=HELPED)
    assert time.monotonic() - began < 60
    assert [path.name for path in StateFiles(tmp_path).paths()] == ["state-00000002.safetensors"]

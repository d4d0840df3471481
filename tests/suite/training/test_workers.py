"""Workers change nothing but speed; a stuck or dead one, and a bad picture, end the training with its state saved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


KILLED = """
import multiprocessing, os, signal
from suite.errors import InputError
from suite.training.workers import Workers
class Parts:
    def __getitem__(self, number):
        return InputError("x.jpg: cannot be read")
workers = Workers(Parts(), range(9), 2)
workers.draw(lambda: 0)
print(*(child.pid for child in multiprocessing.active_children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_a_training_that_is_killed() -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, check=False)
    pids = [int(pid) for pid in killed.stdout.split()]
    assert len(pids) == 2
    ends = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < ends
        time.sleep(0.2)


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

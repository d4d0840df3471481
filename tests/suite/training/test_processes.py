"""One process, two processes and accumulated parts train alike: the proof, on a CPU, of what runs on many GPUs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import REPOSITORY
from tests.suite.training.worker import losses_of

TOLERANCE = 1e-7
"""In float64; a hundredth of what would still be called equal in float32."""
SYNCHRONISED: dict[str, object] = {"batch_norm": "synchronised"}
FROZEN: dict[str, object] = {"batch_norm": "frozen"}
"""Accumulated parts can only equal the whole with fixed statistics: those of a part are not those of the batch."""
ACCUMULATED: dict[str, object] = {"batch_norm": "frozen", "accumulation": 2}


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute as the worker does."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def losses_in_processes(out: Path, processes: int, steps: int, runs: list[dict[str, Any]]) -> list[list[list[float]]]:
    """Train each run in so many processes; returns the loss terms and the gradient's norm of each step."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.suite.training.worker", str(out), str(steps), json.dumps(runs)],
            cwd=REPOSITORY,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    for process in started:
        _, said = process.communicate(timeout=900)
        assert process.returncode == 0, said
    found: list[list[list[float]]] = json.loads(out.read_text())
    return found


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("steps", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_parts_train_as_the_whole(tmp_path: Path, steps: int) -> None:
    """Batch 8 alone, 4 + 4 in two processes, 4 + 4 accumulated, 2 + 2 in each of two; images first, then pairs."""
    whole, frozen, parts = (losses_of(steps, changes) for changes in (SYNCHRONISED, FROZEN, ACCUMULATED))
    two, four = losses_in_processes(tmp_path / "two.json", 2, steps, [SYNCHRONISED, ACCUMULATED])
    assert len(whole) == steps
    assert len(whole[0]) == 5
    assert len(whole[-1]) == 13
    for expected, found in ((whole, two), (frozen, parts), (frozen, four)):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, one, rtol=TOLERANCE)
    assert abs(whole[0][0] - frozen[0][0]) > TOLERANCE

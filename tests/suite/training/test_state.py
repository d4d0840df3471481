from __future__ import annotations

import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from suite.errors import InputError
from suite.training.state import Progress, StateFiles, Trained
from tests.suite.training.tiny import run, small_recipe


def trained(seed: int, width: int = 4) -> Trained:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    model(torch.randn(2, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    return Trained(model, optimizer)


def test_hours_of_another_run_are_not_thrown_away(tmp_path: Path) -> None:
    StateFiles(tmp_path).save(Progress("another", iteration=9, elapsed_s=8000), trained(0))
    with pytest.raises(InputError, match="--fresh"):
        run(small_recipe(iterations=2), tmp_path)
    assert (tmp_path / "state-00000009.safetensors").exists()


def test_a_damaged_state_is_named_and_the_one_before_is_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    states = StateFiles(tmp_path, keep=2)
    for iteration in (1, 2, 3):
        states.save(Progress("id", iteration), trained(iteration))
    assert [path.name for path in states.paths()] == ["state-00000003.safetensors", "state-00000002.safetensors"]
    newest = states.paths()[0]
    newest.write_bytes(newest.read_bytes()[:200])
    found = states.read()
    assert found is not None
    assert found[0].iteration == 2
    assert newest.name in capsys.readouterr().err
    states.paths()[1].unlink()
    with pytest.raises(InputError, match=r"state-00000003\.safetensors"):
        states.read()


def test_a_full_disk_leaves_the_state_before_it_intact(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk: the write fails half-way in the same place."""
    StateFiles(tmp_path).save(Progress("id", 1), trained(0))
    before = (tmp_path / "state-00000001.safetensors").read_bytes()
    large = trained(0, width=256)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # Python ignores SIGXFSZ: a write beyond it is an error
    try:
        with pytest.raises(InputError, match=r"state-00000002\.safetensors"):
            StateFiles(tmp_path).save(Progress("id", 2), large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["state-00000001.safetensors"]
    assert (tmp_path / "state-00000001.safetensors").read_bytes() == before

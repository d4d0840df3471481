"""What a training takes of the machine before its first iteration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from suite.distributed import available_cores, start_processes
from suite.training.initial import take_threads
from suite.training.recipe import load_recipe


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_no_more_threads_than_cores(capsys: pytest.CaptureFixture[str]) -> None:
    cores = available_cores()
    take_threads(load_recipe("shapes", threads=cores + 3), start_processes("cpu"))
    assert torch.get_num_threads() == cores
    assert f"computing with {cores} threads" in capsys.readouterr().err


def test_the_recipes_threads_where_there_are_cores(capsys: pytest.CaptureFixture[str]) -> None:
    take_threads(load_recipe("shapes", threads=1), start_processes("cpu"))
    assert torch.get_num_threads() == 1
    assert not capsys.readouterr().err

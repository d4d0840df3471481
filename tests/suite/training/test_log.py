"""The log of a run whose rows average over several iterations, as those of long runs do."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from suite.training import loop
from suite.training.log import TrainingLog, log_interval
from tests.suite.training.tiny import FixedEvaluation, run, small_recipe, weights_of


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_row_averages_over_the_iterations_since_the_one_before(tmp_path: Path) -> None:
    assert [log_interval(iterations) for iterations in (1, 5000, 5001, 270000)] == [1, 1, 2, 54]
    log = TrainingLog(tmp_path, ["loss", "mask_ap"], 3, tensorboard=False)
    scores = {4: 0.5}
    for iteration in range(1, 8):
        log.add(iteration, {"loss": float(iteration), "mask_ap": scores.get(iteration)}, ends_row=iteration in (4, 7))
    found = [(int(row["iteration"]), float(row["loss"]), row["mask_ap"]) for row in rows_of(tmp_path)]
    assert found == [(3, 2.0, ""), (4, 4.0, "0.5"), (6, 5.5, ""), (7, 7.0, "")]


class KilledError(Exception):
    """Stands for a kill: nothing is saved on the way out."""


class DyingEvaluation(FixedEvaluation):
    """Scores once; the second time it is asked, the process dies."""

    def score(self) -> float:
        if self.asked:
            raise KilledError
        return super().score()


def test_a_killed_run_loses_no_bit_and_no_score_and_its_log_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored after 2 and 4 iterations, saved after 3, killed in the fourth; rows of ten iterations."""
    monkeypatch.setattr(loop, "log_interval", lambda iterations: 10)
    recipe = small_recipe(query_passing=False)
    with pytest.raises(KilledError):
        run(recipe, tmp_path, evaluation=DyingEvaluation(0.5))
    continued = run(recipe, tmp_path, evaluation=FixedEvaluation(0.75))
    whole = run(recipe, tmp_path / "whole", evaluation=FixedEvaluation(0.75))
    assert torch.equal(weights_of(continued.model), weights_of(whole.model))
    rows = rows_of(tmp_path)
    assert [(row["iteration"], row["mask_ap"]) for row in rows] == [("2", "0.5"), ("3", ""), ("4", "0.75")]
    assert all(float(row["loss"]) > 0 for row in rows)

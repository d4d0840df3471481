from __future__ import annotations

import csv
import itertools
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from suite.errors import InputError, StoppedError
from suite.training import log
from suite.training.loop import LOSS_TERMS, learning_rate_factor
from suite.training.state import StateFiles
from tests.suite.training.tiny import FixedEvaluation, KilledError, run, small_recipe, weights_of


@pytest.mark.parametrize(
    ("number", "error", "changes"),
    [
        (signal.SIGINT, KeyboardInterrupt, {"query_passing": True}),
        (signal.SIGTERM, StoppedError, {"query_passing": False, "ema_decay": 0.9}),
        (signal.SIGUSR1, StoppedError, {"accumulation": 2, "batch_norm": "frozen"}),
        (signal.SIGTERM, StoppedError, {"precision": "bf16"}),
    ],
)
def test_an_interrupted_run_continues_bit_for_bit(
    tmp_path: Path, number: int, error: type[BaseException], changes: dict[str, object]
) -> None:
    recipe = small_recipe(image_stage_fraction=0.5, **changes)
    whole = run(recipe, tmp_path / "whole")
    stopping = FixedEvaluation(meanwhile=lambda _: os.kill(os.getpid(), number))  # as a scheduler does
    with pytest.raises(error):
        run(recipe, tmp_path / "parts", evaluation=stopping)
    assert [path.name for path in (tmp_path / "parts").glob("state-*")] == ["state-00000002.safetensors"]
    continued = run(recipe, tmp_path / "parts")
    assert torch.equal(weights_of(whole.model), weights_of(continued.model))
    assert whole.curve == continued.curve
    logs = [list(csv.reader((tmp_path / name / "log.csv").open())) for name in ("whole", "parts")]
    speed = logs[0][0].index("images_per_s")
    assert [[*row[:speed], *row[speed + 1 :]] for row in logs[0]] == [
        [*row[:speed], *row[speed + 1 :]] for row in logs[1]
    ]


def test_training_learns_and_its_curve_and_log_say_so(tmp_path: Path) -> None:
    options = {"query_passing": False, "vertical_flip": 0.0, "model_options": {}}
    recipe = small_recipe(iterations=24, evaluations=4, checkpoint_every=24, **options)
    result = run(recipe, tmp_path, evaluation=FixedEvaluation(0.1, 0.4, 0.3, 0.2))
    losses = [float(row[1] or 0) for row in result.curve]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    scored = {row[0]: row[-1] for row in result.curve if row[-1] is not None}
    assert scored == {6: 0.1, 12: 0.4, 18: 0.3, 24: 0.2}
    assert not result.model.training
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 25))
    assert float(rows[0]["loss"]) == pytest.approx(losses[0], rel=1e-4)
    assert sum(float(rows[3][name]) for name in LOSS_TERMS) == pytest.approx(float(rows[3]["loss"]), rel=1e-4)
    assert (tmp_path / "best.safetensors").exists()
    drawn = sorted(path.stem for path in (tmp_path / "pictures").iterdir())
    assert drawn == [f"iteration-{n:08d}" for n in (6, 12, 18, 24)]


def test_a_loss_that_is_not_a_number_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    recipe = small_recipe(learning_rate=1e30, warmup_fraction=0.0, query_passing=False, checkpoint_every=1)
    with pytest.raises(InputError, match=r"iteration \d"):
        run(recipe, tmp_path, evaluation=FixedEvaluation())
    found = StateFiles(tmp_path).read()
    assert found is not None
    assert 1 <= found[0].iteration < 4


def test_learning_rate_warms_up_and_decays() -> None:
    recipe = small_recipe(iterations=100, warmup_fraction=0.1, final_learning_rate_fraction=0.01)
    factors = [learning_rate_factor(recipe, iteration) for iteration in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[10:]))
    assert factors[-1] == pytest.approx(0.01, abs=0.002)


def test_a_killed_run_loses_no_bit_and_no_score_and_its_log_ends_with_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scored after 2 and 4 iterations, saved after 3, killed in the fourth; rows of ten iterations."""
    monkeypatch.setattr(log, "LOG_ROWS", 0.4)
    recipe = small_recipe(query_passing=False)

    def die(asked: int) -> None:
        if asked:
            raise KilledError

    with pytest.raises(KilledError):
        run(recipe, tmp_path, evaluation=FixedEvaluation(0.5, meanwhile=die))
    continued = run(recipe, tmp_path, evaluation=FixedEvaluation(0.75))
    whole = run(recipe, tmp_path / "whole", evaluation=FixedEvaluation(0.75))
    assert torch.equal(weights_of(continued.model), weights_of(whole.model))
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [(row["iteration"], row["mask_ap"]) for row in rows] == [("2", "0.5"), ("3", ""), ("4", "0.75")]
    assert all(float(row["loss"]) > 0 for row in rows)

from __future__ import annotations

import csv
import errno
import itertools
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from suite.distributed import Processes
from suite.errors import InputError, StoppedError
from suite.training.initial import How
from suite.training.loop import LOSS_TERMS, learning_rate_factor
from suite.training.sources.shapes import draw_batch
from suite.training.state import StateFiles
from tests.suite.training.tiny import VIDEOS, FixedEvaluation, run, small_recipe, weights_of


class Stopping(FixedEvaluation):
    """Signals this process and its workers at the first evaluation, as a scheduler does."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def predict(self, model: MobileInst, config: ModelConfig) -> None:
        workers = [worker.pid for worker in multiprocessing.active_children() if worker.pid is not None]
        for process in (*workers, os.getpid()):
            os.kill(process, self.number)


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
    with pytest.raises(error):
        run(recipe, tmp_path / "parts", evaluation=Stopping(number))
    assert [path.name for path in (tmp_path / "parts").glob("state-*")] == ["state-00000002.safetensors"]
    continued = run(recipe, tmp_path / "parts")
    assert torch.equal(weights_of(whole.model), weights_of(continued.model))
    assert whole.curve == continued.curve
    logs = [list(csv.reader((tmp_path / name / "log.csv").open())) for name in ("whole", "parts")]
    speed = logs[0][0].index("images_per_s")
    assert [[*row[:speed], *row[speed + 1 :]] for row in logs[0]] == [
        [*row[:speed], *row[speed + 1 :]] for row in logs[1]
    ]


def test_workers_survive_what_stops_the_run(tmp_path: Path) -> None:
    recipe = small_recipe(query_passing=False)
    with pytest.raises(StoppedError, match="SIGTERM"):
        run(recipe, tmp_path, evaluation=Stopping(signal.SIGTERM), how=How(device="cpu", workers=2))
    assert (tmp_path / "state-00000002.safetensors").exists()


def test_no_process_leaves_before_the_state_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 0 writes; launchers end it soon after another one has left. What all wait for is `Processes.share`."""
    written: list[bool] = []

    def share(self: Processes, value: object) -> object:
        written.append((tmp_path / "state-00000002.safetensors").exists())
        return value

    monkeypatch.setattr(Processes, "share", share)
    with pytest.raises(StoppedError):
        run(small_recipe(query_passing=False), tmp_path, evaluation=Stopping(signal.SIGTERM))
    assert written[-1]


def test_a_stopped_run_has_its_own_exit_code() -> None:
    assert StoppedError("").exit_code == 75


def test_the_same_seed_gives_the_same_weights_and_another_does_not(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=2)
    weights = [weights_of(run(recipe, tmp_path / str(n), seed).model) for n, seed in enumerate((0, 0, 1))]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_workers_that_prepare_batches_change_nothing(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=3, image_stage_fraction=0.5)
    alone = run(recipe, tmp_path / "alone")
    helped = run(recipe, tmp_path / "helped", how=How(device="cpu", workers=2))
    assert torch.equal(weights_of(alone.model), weights_of(helped.model))


def test_workers_without_room_in_shared_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker gives 64 MiB; a worker whose batch does not fit would wait for ever."""
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(InputError, match="/dev/shm"):
        run(small_recipe(iterations=1, evaluations=1), tmp_path, how=How(device="cpu", workers=2))
    assert run(small_recipe(iterations=1, evaluations=1), tmp_path, how=How(device="cpu")).curve


def test_training_learns_and_its_curve_and_log_say_so(tmp_path: Path) -> None:
    options = {"query_passing": False, "vertical_flip": 0.0, "picture_every": 10, "model_options": {}}
    recipe = small_recipe(iterations=24, evaluations=4, checkpoint_every=24, **options)
    result = run(recipe, tmp_path, evaluation=FixedEvaluation(0.1, 0.4, 0.3, 0.2))
    losses = [float(row[1] or 0) for row in result.curve]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])
    assert [(row[0], row[-1]) for row in result.curve if row[-1] is not None] == [
        (6, 0.1),
        (12, 0.4),
        (18, 0.3),
        (24, 0.2),
    ]
    assert not result.model.training
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["iteration"]) for row in rows] == list(range(1, 25))
    assert float(rows[0]["loss"]) == pytest.approx(losses[0], rel=1e-4)
    assert sum(float(rows[3][name]) for name in LOSS_TERMS) == pytest.approx(float(rows[3]["loss"]), rel=1e-4)
    assert (tmp_path / "best.safetensors").exists()
    drawn = sorted(path.stem for path in (tmp_path / "pictures").iterdir())
    assert drawn == [f"iteration-{n:08d}" for n in (6, 10, 12, 18, 20, 24)]


def test_a_loss_that_is_not_a_number_stops_before_it_reaches_the_weights(tmp_path: Path) -> None:
    recipe = small_recipe(learning_rate=1e30, warmup_fraction=0.0, query_passing=False, checkpoint_every=1)
    with pytest.raises(InputError, match=r"iteration \d"):
        run(recipe, tmp_path, evaluation=FixedEvaluation())
    found = StateFiles(tmp_path).read()
    assert found is not None
    assert 1 <= found[0].iteration < 4


class FullDisk(FixedEvaluation):
    """Nothing can be drawn any more."""

    def draw(self, picture: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_ends_the_run_with_the_name_of_the_file(tmp_path: Path) -> None:
    recipe = small_recipe(iterations=1, evaluations=1, query_passing=False, picture_every=1)
    with pytest.raises(InputError, match=r"iteration-00000001\.png"):
        run(recipe, tmp_path, evaluation=FullDisk())


def test_options_train_to_finite_weights_that_differ(tmp_path: Path) -> None:
    options: list[dict[str, object]] = [{}, {"precision": "fp16"}, {"ema_decay": 0.5}, {"clipping": False}]
    trained = [run(small_recipe(iterations=2, **changes), tmp_path / str(n)) for n, changes in enumerate(options)]
    weights = [weights_of(result.model) for result in trained]
    assert all(torch.isfinite(one).all() for one in weights)
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(weights, 2))


def test_batches_are_pure_and_pairs_share_their_view() -> None:
    recipe = small_recipe(brightness=0.0, image_stage_fraction=0.0)
    first, second = (draw_batch(recipe, VIDEOS, seed=3, iteration=5) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert len(first.targets) == recipe.batch_size
    half = recipe.batch_size // 2
    for now, later in zip(first.targets[:half], first.targets[half:], strict=True):
        assert torch.equal(now.instance_ids, later.instance_ids)
        columns = [target.masks[0].any(0).nonzero()[:, 0].tolist() for target in (now, later)]
        assert columns[0] == columns[1], "the square moves along rows only, so a shared flip keeps its columns"


@pytest.mark.parametrize("pairs", [True, False])
def test_parts_of_a_batch_are_the_batch(pairs: bool) -> None:
    recipe = small_recipe(batch_size=8, image_stage_fraction=0.0, query_passing=pairs)
    whole = draw_batch(recipe, VIDEOS, seed=3, iteration=5).images.view(2 if pairs else 1, -1, 3, 64, 64)
    parts = [draw_batch(recipe, VIDEOS, 3, 5, rank, 4).images.view(len(whole), -1, 3, 64, 64) for rank in range(4)]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    with pytest.raises(InputError, match="3 parts"):
        draw_batch(recipe, VIDEOS, 3, 5, 0, 3)


def test_a_stage_that_cannot_be_dealt_out_is_refused_before_the_first_iteration(tmp_path: Path) -> None:
    """Four images are four parts, two pairs are not; they would come after half of the run."""
    recipe = small_recipe(accumulation=4, image_stage_fraction=0.5, batch_norm="frozen")
    with pytest.raises(InputError, match=r"\b2\b.*\b4\b"):
        run(recipe, tmp_path)
    assert not list(tmp_path.iterdir())


def test_every_video_is_seen_once_per_epoch() -> None:
    recipe = small_recipe(query_passing=False, batch_size=1, horizontal_flip=0.0, vertical_flip=0.0)
    labels = [int(draw_batch(recipe, VIDEOS, 0, iteration).targets[0].labels[0]) for iteration in range(6)]
    assert sorted(labels[:3]) == sorted(labels[3:]) == [0, 1, 2]


def test_learning_rate_warms_up_and_decays() -> None:
    recipe = small_recipe(iterations=100, warmup_fraction=0.1, final_learning_rate_fraction=0.01)
    factors = [learning_rate_factor(recipe, iteration) for iteration in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[9] == 1.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(factors[10:]))
    assert factors[-1] == pytest.approx(0.01, abs=0.002)


def test_learning_rate_falls_in_steps_where_a_recipe_says_so() -> None:
    recipe = small_recipe(iterations=100, warmup_fraction=0.1, decay_at=(0.5, 0.8))
    factors = [learning_rate_factor(recipe, iteration) for iteration in range(100)]
    assert factors[10:50] == [1.0] * 40
    assert factors[50:80] == pytest.approx([0.1] * 30)
    assert factors[80:] == pytest.approx([0.01] * 20)

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suite.cli import main
from suite.records.store import read_folder
from suite.reproduce.held_out import VIDEO_SETTINGS
from suite.reproduce.shapes import reproduce_shapes
from suite.training.recipe import load_recipe
from suite.training.run import run_folder
from tests.suite.training.tiny import KilledError

SHORT = ["reproduce", "--no-latency", "--iterations", "2"]


def accuracy(root: Path) -> list[dict[str, float]]:
    """The measured AP of each record, oldest first."""
    runs, refused = read_folder(root / "reports" / "records")
    assert refused == []
    return [
        {
            f"{item.metric} T={item.protocol.get('key_frame_interval')} {item.protocol.get('association')}": item.value
            for item in run.measurements
            if item.value is not None and item.metric != "train_time_s"
        }
        for run in runs
    ]


def test_the_main_job_runs_end_to_end_and_killed_at_any_stage_repeats_to_the_last_digit(
    small_root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once undisturbed; then stopped while training, and killed while predicting, scoring, drawing and writing."""
    assert main(SHORT) == 0
    shown = capsys.readouterr().out
    assert "published claims" in shown
    assert "shapes" in shown
    for name in ("ledger.md", "tables/table1.tex", "tables/embedded.csv", "figures/training_curve.png"):
        assert (small_root / "reports" / name).stat().st_size > 100, name
    for name in ("shapes_masks.png", "shapes_tracks.png", "shapes_tracks_animated.png"):
        assert (small_root / "reports" / "pictures" / name).read_bytes().startswith(b"\x89PNG")
    (first,) = accuracy(small_root)
    assert {"video_ap T=1 True", "video_ap T=3 True", "video_ap T=6 True", "video_ap T=1 False"} <= set(first)
    runs, _ = read_folder(small_root / "reports" / "records")
    assert [item.name for item in runs[0].series] == ["training_curve", *["ap_draws"] * (1 + len(VIDEO_SETTINGS))]
    drawn = next(item for item in runs[0].series if item.name == "ap_draws")
    assert (len(drawn.rows), drawn.columns, drawn.protocol["seed"]) == (1000, ["mask_ap"], 0)
    assert runs[0].run.seed == 0
    assert all(item.dataset is not None and item.dataset.pinned for item in runs[0].measurements)

    recipe, seeds = load_recipe("shapes", iterations=2), (0, 1)
    monkeypatch.setattr("suite.reproduce.held_out.VIDEO_SETTINGS", VIDEO_SETTINGS[:2])
    monkeypatch.setattr("suite.reproduce.held_out.RESAMPLES", 20)
    calls: list[str] = []

    def watch(place: str, dies_at: int, how: type[BaseException] = KilledError) -> None:
        """Count the calls of a function; the one of this number is a kill, or Ctrl-C."""
        module, _, name = place.rpartition(".")
        real = getattr(importlib.import_module(module), name)

        def called(*given: Any, **options: Any) -> Any:
            calls.append(name)
            if calls.count(name) == dies_at:
                raise how
            return real(*given, **options)

        monkeypatch.setattr(place, called)

    watch("suite.training.run.train", dies_at=1, how=KeyboardInterrupt)
    watch("suite.training.loop._loss_columns", dies_at=99)
    watch("suite.reproduce.held_out.predict_dataset", dies_at=4)
    watch("suite.reproduce.held_out.score_coco", dies_at=1)
    watch("suite.reproduce.shapes.draw_track_strip", dies_at=1)
    watch("suite.reproduce.shapes.write_run", dies_at=2)
    assert main([*SHORT, "--seed", "0", "--seed", "1"]) == 130
    for _ in range(4):
        with pytest.raises(KilledError):
            reproduce_shapes(recipe, seeds, latency=False)
    with pytest.raises(ZeroDivisionError):
        reproduce_shapes(recipe, seeds, latency=False, draw_report=lambda: 1 / 0)
    reproduce_shapes(recipe, seeds, latency=False)
    # Two trainings of two steps, scored on images and in two settings of videos; what was killed was done once more.
    expected = {"_loss_columns": 4, "predict_dataset": 8, "score_coco": 3, "draw_track_strip": 2, "write_run": 3}
    assert {name: calls.count(name) for name in expected} == expected
    runs, refused = read_folder(small_root / "reports" / "records")
    assert ([run.run.seed for run in runs], refused) == ([0, 0, 1], [])
    again = accuracy(small_root)[1]
    assert {name: first[name] for name in again} == again
    assert len(again) > 20
    assert not list((small_root / "runs" / "stages").iterdir())
    assert not list((small_root / "runs").rglob("state-*"))


def test_a_folder_that_another_process_trains_in_is_left_to_it(
    small_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folder(load_recipe("shapes", iterations=2), 0)
    program = (
        "import pathlib, sys\nfrom suite.locks import claimed\n"
        "with claimed(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], text=True, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for words in (["train", "shapes", "--iterations", "2"], SHORT):
            assert main(words) == 2
            assert f"process {other.pid} " in capsys.readouterr().err
        other.communicate()
    assert not list(folder.glob("state-*"))


def test_a_dataset_that_is_not_the_pinned_one_stops_the_job(
    small_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = next((small_root / "data" / "shapes" / "train").rglob("*.png"))
    damaged = bytearray(frame.read_bytes())
    damaged[-20] ^= 1
    frame.write_bytes(damaged)
    assert main(SHORT) == 4
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "shapes" in error
    assert not (small_root / "reports" / "records").exists()


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["reproduce", "--dataset", "cocoa"], 2, "cocoa"),
        (["reproduce", "--annotations", "x.json"], 2, "goes with --dataset"),
        (["reproduce", "--iterations", "0"], 2, "iterations"),
        (["reproduce", "--recipe", "nonsense"], 4, "nonsense"),
        (["reproduce", "--dataset", "coco", "--annotations", "none.json", "--images", "."], 4, "none.json"),
        (["reproduce", "--dataset", "coco", "--annotations", "crowd.json", "--images", "."], 3, "crowd.json"),
        (["train", "--seed", "one"], 2, "one"),
    ],
)
def test_bad_words_are_one_line(
    small_root: Path, refused: Any, words: list[str], code: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small_root)
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cup"}]}
    Path("crowd.json").write_text(json.dumps(truth))
    assert text in refused(words, code)

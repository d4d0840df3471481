"""What association is worth: the rows against an independent path, and the counts of identities by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig
from suite.tracking.diagnostics import TruthLinker, identity_counts


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("shapes")
    generate(folder, ShapesConfig(train_videos=1, val_videos=3))
    annotations, frames = folder / "annotations" / "youtube_vis_val.json", folder / "val"
    return ["--annotations", str(annotations), "--images", str(frames)]


def test_rows_are_what_predict_and_score_say(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = ["kernels", "masks+active"]
    options = [word for rule in rules for word in ("--associate-on", rule)]
    assert main(["errors", "tracking", *words, "--key-frame-interval", "2", *options, "--json"]) == 0
    rows = {row["associate_on"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == ["none", *rules, "ground truth"]
    for rule in ["none", *rules]:
        results = tmp_path / f"{rule}.json"
        how = ["--no-association"] if rule == "none" else ["--associate-on", rule]
        made = ["predict", "youtube-vis", "--checkpoint", "shapes", *words, "--key-frame-interval", "2", *how]
        assert main([*made, "--out", str(results)]) == 0
        capsys.readouterr()
        assert main(["score", "youtube-vis", *words[:2], "--results", str(results), "--json"]) == 0
        assert rows[rule]["video_ap"] == json.loads(capsys.readouterr().out)["stats"]["AP"]
    for rule in rules:
        assert rows[rule]["shuffled_video_ap"] == pytest.approx(rows[rule]["video_ap"], abs=1e-6)
    assert rows["none"]["shuffled_video_ap"] < rows["none"]["video_ap"] / 2
    truth = rows["ground truth"]
    assert (truth["followed"], truth["switches"]) == (truth["changed"], 0)
    assert all(row["lost"] <= row["changed"] <= row["links"] == truth["links"] for row in rows.values())


def test_an_unknown_rule_is_refused_before_anything_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    absent = ["--annotations", "absent.json", "--images", "absent"]
    out = ["--out", "results.json", "--associate-on", "boxes"]
    assert main(["predict", "youtube-vis", "--checkpoint", "shapes", *absent, *out]) == 2
    assert "boxes" in capsys.readouterr().err


def test_videos_without_an_object_give_no_number(words: list[str], tmp_path: Path) -> None:
    empty = json.loads(Path(words[1]).read_text()) | {"annotations": []}
    (tmp_path / "empty.json").write_text(json.dumps(empty))
    assert main(["errors", "tracking", "--annotations", str(tmp_path / "empty.json"), *words[2:]]) == 3


def test_counts_and_links_by_ground_truth() -> None:
    """Object 0 goes from query 2 to 1, which 2 still shows, hides, and comes back on 0; object 1 stays on query 3."""
    finders = [{0: [2], 1: [3]}, {0: [1, 2], 1: [3]}, {1: [3]}, {0: [0], 1: [3, 1]}]
    stay = [[0, 1, 2, 3]] * 4
    assert identity_counts(finders, stay) == (4, 1, 0, 0, 2)
    linker, orders = TruthLinker(finders), [[0, 1, 2, 3]]
    frame = type("Frame", (), {"scores": torch.zeros(4, 1)})()
    orders += [linker(None, None, frame).tolist() for _ in range(3)]  # type: ignore[arg-type]
    assert identity_counts(finders, orders) == (4, 1, 0, 1, 0)
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    moved = [[0, 1, 2, 3], [0, 1, 3, 2], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert identity_counts([{0: [2]}, {0: [3]}, {}, {0: [2]}], moved) == (1, 1, 1, 1, 0)

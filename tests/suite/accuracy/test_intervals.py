from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import t

from suite.accuracy.intervals import WeightedAp, bootstrap, reach, statistics
from suite.accuracy.mask_ap import AREA_RANGES_PX, mask_pairs, score_coco
from suite.accuracy.matches import match
from suite.accuracy.video_ap import match_tracks, score_youtube_vis
from suite.cli import main
from suite.datasets.coco import CocoDataset, read_detections
from suite.datasets.youtube_vis import YoutubeVisDataset, read_tracks
from suite.errors import InputError
from tests.suite.accuracy.cases import random_coco, random_video, written
from tests.suite.accuracy.coverage import WORLDS, matched, measure, population, worse


def repeated(document: dict[str, Any], results: list[Any], key: str, weights: NDArray[np.int64]) -> tuple[Any, Any]:
    """Return the dataset in which each unit stands as often as its weight says, copies next to each other."""
    unit = {"images": "image_id", "videos": "video_id"}[key]
    copies: dict[str, list[Any]] = {key: [], "annotations": [], "results": []}
    ordered = sorted(document[key], key=lambda item: item["id"])
    for item, weight in zip(ordered, weights.tolist(), strict=True):
        for _ in range(weight):
            number = len(copies[key]) + 1
            copies[key].append({**item, "id": number})
            for name, items in (("annotations", document["annotations"]), ("results", results)):
                copies[name] += [{**other, unit: number} for other in items if other[unit] == item["id"]]
    for number, annotation in enumerate(copies["annotations"], start=1):
        annotation["id"] = number
    return {**document, key: copies[key], "annotations": copies["annotations"]}, copies["results"]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
def test_weights_give_the_official_ap_of_the_dataset_with_repetitions(tmp_path: Path, task: str, seed: int) -> None:
    key = "videos" if task == "youtube-vis" else "images"
    document, results = random_video(seed) if task == "youtube-vis" else random_coco(seed)
    for item, tie_breaker in zip(results, np.random.default_rng(seed).random(len(results)), strict=True):
        # Equal scores in different images would be ordered otherwise once an image stands twice.
        item["score"] = round(item["score"] + tie_breaker / 100, 6)
    paths = written(tmp_path, document, results)
    if task == "youtube-vis":
        videos = YoutubeVisDataset.load(paths[0])
        matches = match_tracks(videos, read_tracks(paths[1], videos))
    else:
        dataset = CocoDataset.load(paths[0])
        matches = match(*mask_pairs(dataset, read_detections(paths[1], dataset)), AREA_RANGES_PX)
    function = WeightedAp(matches)
    rng = np.random.default_rng(seed)
    amount = len(document[key])
    for weights in (np.ones(amount, np.int64), np.bincount(rng.integers(0, amount, amount), minlength=amount)):
        again = written(tmp_path, *repeated(copy.deepcopy(document), results, key, weights))
        score = score_youtube_vis(*again) if task == "youtube-vis" else score_coco(*again)
        expected = [score.stats[name] for name in ("AP", "AP50", "AP75")]
        assert list(statistics(function(weights)).values()) == pytest.approx(expected, abs=1e-9)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    found = measure(WORLDS["low AP"], images=60, trials=80, resamples=30, sets=150, seed=4)
    # 95 of 100 with a standard deviation of 2.4, and a little less for so few draws and sets.
    assert found["same_size"] >= 0.89
    assert found["difference"] >= 0.89
    assert found["observed"] == 1
    assert found["percentiles"] < found["same_size"]
    # The AP of endless images lies lower; the interval is not about it.
    assert found["endless_ap"] < found["expected_ap"]
    assert 0.02 < found["width"] < 0.2


@pytest.mark.slow
@pytest.mark.parametrize("images", [48, 120])
@pytest.mark.parametrize("world", WORLDS)
def test_coverage_in_every_world(world: str, images: int) -> None:
    found = measure(WORLDS[world], images, trials=400, resamples=100, sets=1500)
    assert found["same_size"] >= 0.92
    assert found["difference"] >= 0.92
    assert found["observed"] == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_intervals_hold_what_was_observed_and_are_symmetric(seed: int, images: int) -> None:
    matches = population(np.random.default_rng(seed), images)
    drawn = bootstrap([matches, worse(np.random.default_rng(seed), matches)], "images", 20, seed)
    if drawn is None:
        return
    for name in ("AP", "AP50", "AP75"):
        interval, value = drawn.interval(name), drawn.observed[name][0]
        assert 0 <= interval.low <= value <= interval.high <= 1
        if interval.low > 0 and interval.high < 1:
            assert value - interval.low == pytest.approx(interval.high - value)
        difference = drawn.difference(name)
        assert difference.low <= value - drawn.observed[name][1] <= difference.high


@pytest.mark.parametrize("categories", [1, 3])
@pytest.mark.parametrize("units", [2, 5, 30])
def test_reach_of_equal_categories_is_students(categories: int, units: int) -> None:
    objects = np.ones((units, categories), np.int64)
    expected = t.ppf(0.975, categories * (units - 1)) * np.sqrt(units / (units - 1))
    assert reach(objects) == pytest.approx(expected)


def test_nothing_to_draw_from() -> None:
    empty, none = np.zeros(0, np.int64), np.zeros((10, 0), np.bool_)
    for units in (0, 5):
        assert bootstrap([matched(empty, empty, none, np.zeros((units, 2), np.int64))], "images") is None
    missed = bootstrap([matched(empty, empty, none, np.ones((5, 2), np.int64))], "images", 20)
    assert missed is not None
    assert (missed.interval().low, missed.interval().high) == (0, 0)
    with pytest.raises(InputError, match="different annotations"):
        bootstrap([population(np.random.default_rng(n), 20) for n in (0, 1)], "images")


@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
def test_command_prints_intervals_and_differences(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    document, results = (random_coco if task == "coco" else random_video)(4)
    paths = written(tmp_path, document, results)
    (tmp_path / "other.json").write_text("[]")
    words = ["score", task, "--annotations", str(paths[0]), "--results", str(paths[1]), "--resamples", "30"]
    words += ["--interval", "--against", str(tmp_path / "other.json")]
    assert main([*words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    value, interval = printed["stats"]["AP"], printed["intervals"]["AP"]
    assert 0 <= interval["low"] < interval["high"] <= 1
    assert interval["level"] == 0.95
    assert interval["resamples"] <= 30
    difference = printed["differences"]["AP"]
    assert difference["value"] == value
    assert difference["interval"]["high"] == pytest.approx(interval["high"])
    assert interval["low"] <= value <= interval["high"]
    assert main(words) == 0
    assert "intervals cover which" in capsys.readouterr().out

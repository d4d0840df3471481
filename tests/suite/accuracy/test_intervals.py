from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from suite.accuracy.coco_files import read_ground_truth
from suite.accuracy.intervals import bootstrap
from suite.accuracy.mask_ap import evaluate_coco, score_coco
from suite.accuracy.mask_engines import matches_of
from suite.accuracy.matches import Matches
from suite.accuracy.resampling import WeightedAp, statistics
from suite.accuracy.video_ap import evaluate_youtube_vis, score_youtube_vis
from suite.accuracy.youtube_vis_files import read_video_ground_truth
from suite.cli import main
from suite.errors import InputError
from tests.suite.accuracy.cases import random_coco, random_video, written


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
@pytest.mark.parametrize("task", ["hotcoco", "pycocotools", "youtube-vis"])
def test_weights_give_the_official_ap_of_the_dataset_with_repetitions(tmp_path: Path, task: str, seed: int) -> None:
    key = "videos" if task == "youtube-vis" else "images"
    document, results = random_video(seed) if task == "youtube-vis" else random_coco(seed)
    for item, tie_breaker in zip(results, np.random.default_rng(seed).random(len(results)), strict=True):
        # Equal scores in different images would be ordered otherwise once an image stands twice.
        item["score"] = round(item["score"] + tie_breaker / 100, 6)
    paths = written(tmp_path, document, results)
    if task == "youtube-vis":
        matches = matches_of(evaluate_youtube_vis(read_video_ground_truth(paths[0]), paths[1])[1])
    else:
        matches = evaluate_coco(read_ground_truth(paths[0]), paths[1], task).behind.matches()
    function = WeightedAp(matches)
    rng = np.random.default_rng(seed)
    amount = len(document[key])
    for weights in (np.ones(amount, np.int64), np.bincount(rng.integers(0, amount, amount), minlength=amount)):
        again = written(tmp_path, *repeated(copy.deepcopy(document), results, key, weights))
        score = score_youtube_vis(*again) if task == "youtube-vis" else score_coco(*again)
        expected = [score.stats[name] for name in ("AP", "AP50", "AP75")]
        assert list(statistics(function(weights)).values()) == pytest.approx(expected, abs=1e-9)


def population(rng: np.random.Generator, images: int, skill: float = 1.0) -> Matches:
    """Return matches of a detector whose quality differs from image to image, in 3 categories of unequal size."""
    parts = []
    objects = rng.poisson([1.5, 0.7, 0.4], (images, 3))
    quality = np.clip(skill * rng.beta(4, 2, images), 0, 1)
    for category in range(3):
        unit = np.repeat(np.arange(images), objects[:, category])
        level = rng.random(len(unit))
        hit = level[None, :] < quality[unit][None, :] * np.linspace(1, 0.3, 10)[:, None]
        false = np.repeat(np.arange(images), rng.poisson(1.0, images))
        scores = np.concatenate([rng.normal(1, 1, len(unit)), rng.normal(0, 1, len(false))])
        order = np.argsort(-scores, kind="stable")
        hits = np.concatenate([hit, np.zeros((10, len(false)), np.bool_)], axis=1)[:, order]
        parts.append((np.concatenate([unit, false])[order], np.full(len(order), category), hits))
    unit, category_of = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    hits = np.concatenate([part[2] for part in parts], axis=1)
    return Matches(unit, category_of, hits, np.zeros_like(hits), objects)


def ap(matches: Matches) -> float:
    return statistics(WeightedAp(matches)(np.ones(len(matches.objects), np.int64)))["AP"]


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    truth = ap(population(rng, 30_000))
    trials, covered, percentiles, widths = 100, 0, 0, []
    for trial in range(trials):
        drawn = bootstrap([population(rng, 120)], "images", resamples=120, seed=trial)
        assert drawn is not None
        interval = drawn.interval()
        covered += interval.low <= truth <= interval.high
        low, high = np.quantile(drawn.values["AP"][0], [0.025, 0.975])
        percentiles += low <= truth <= high
        widths.append(interval.high - interval.low)
    # 95 of 100 with a standard deviation of 2.2; so few images and draws cost the interval a little more.
    assert covered >= 87
    assert percentiles < 85
    assert 0.02 < np.mean(widths) < 0.2


def test_pairing_removes_what_both_models_share() -> None:
    rng = np.random.default_rng(1)
    matches = population(rng, 200)
    assert (
        bootstrap([matches, matches], "images", 50).difference()
        == bootstrap(  # type: ignore[union-attr]
            [matches, matches], "images", 50
        ).difference()
    )  # type: ignore[union-attr]
    same = bootstrap([matches, matches], "images", 50)
    assert same is not None
    assert (same.difference().low, same.difference().high) == (0, 0)
    hits = matches.hit & (rng.random(matches.hit.shape) < 0.97)
    worse = Matches(matches.unit, matches.category, hits, matches.ignored, matches.objects)
    drawn = bootstrap([matches, worse], "images", 200, seed=3)
    assert drawn is not None
    paired = drawn.difference()
    assert paired.low > 0
    alone = drawn.interval()
    assert paired.high - paired.low < 0.7 * (alone.high - alone.low)
    assert "images" in alone.covers
    assert "not training seeds" in alone.covers


def test_draws_depend_on_the_seed_alone() -> None:
    matches = population(np.random.default_rng(2), 60)
    first, again, other = (bootstrap([matches], "images", 40, seed=seed) for seed in (5, 5, 6))
    assert first is not None
    assert again is not None
    assert other is not None
    assert np.array_equal(first.values["AP"], again.values["AP"])
    assert not np.array_equal(first.values["AP"], other.values["AP"])
    assert first.interval().resamples == 40
    assert first.interval().seed == 5


def test_nothing_to_draw_from() -> None:
    empty = np.zeros(0, np.int64)
    none = np.zeros((10, 0), np.bool_)
    assert bootstrap([Matches(empty, empty, none, none, np.zeros((0, 2), np.int64))], "images") is None
    assert bootstrap([Matches(empty, empty, none, none, np.zeros((5, 2), np.int64))], "images") is None
    missed = bootstrap([Matches(empty, empty, none, none, np.ones((5, 2), np.int64))], "images", 20)
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
    assert interval["low"] - 0.2 < value < interval["high"] + 0.2
    assert interval["level"] == 0.95
    assert interval["resamples"] <= 30
    difference = printed["differences"]["AP"]
    assert difference["value"] == value
    assert difference["interval"]["high"] == pytest.approx(interval["high"])
    assert main(words) == 0
    assert "intervals cover which" in capsys.readouterr().out

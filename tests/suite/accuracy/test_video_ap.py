from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.accuracy.score import STATS
from suite.accuracy.video_ap import score_youtube_vis
from suite.errors import InputError
from tests.benchmarks.test_scoring import per_pair_video_stats
from tests.suite.accuracy.brute_force import brute_force_video_stats
from tests.suite.accuracy.cases import compressed, random_video, rectangle, uncompressed, written

SIZE = (10, 20)


def strip(top: int, left: int, rows: int, columns: int) -> dict[str, Any]:
    return compressed(rectangle(*SIZE, top, left, rows, columns))


def document(tracks: list[dict[str, Any]], length: int = 2, videos: int = 1) -> dict[str, Any]:
    filled = []
    for place, track in enumerate(tracks):
        defaults = {"id": place + 1, "video_id": 1, "category_id": 1, "iscrowd": 0}
        areas = [None if frame is None else 50 for frame in track["segmentations"]]
        filled.append({**defaults, "areas": areas, **track})
    return {
        "videos": [
            {"id": n + 1, "height": SIZE[0], "width": SIZE[1], "file_names": ["frame.jpg"] * length}
            for n in range(videos)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": filled,
    }


def result(segmentations: list[Any], score: float = 0.5, **other: Any) -> dict[str, Any]:
    return {"video_id": 1, "category_id": 1, "score": score, "segmentations": segmentations, **other}


def stats(folder: Path, annotations: Any, results: Any, quirks: bool = False) -> dict[str, float]:
    return score_youtube_vis(*written(folder, annotations, results), official_quirks=quirks).stats


@pytest.mark.parametrize("seed", range(60))
def test_random_sets_agree_with_brute_force(tmp_path: Path, seed: int) -> None:
    annotations, results = random_video(seed)
    before = copy.deepcopy((annotations, results))
    expected = brute_force_video_stats(annotations, results)
    found = list(stats(tmp_path, annotations, results).values())
    assert found == pytest.approx(expected, abs=1e-12)
    # To the last digit what COCOeval's own matching and accumulation give.
    assert found == per_pair_video_stats(*written(tmp_path, annotations, results))
    assert (annotations, results) == before


def test_only_100_results_of_a_video_and_category_count(tmp_path: Path) -> None:
    annotations = document([{"segmentations": [strip(0, 0, 10, 8)] * 2}])
    wrong = [result([strip(0, 12, 10, 8)] * 2, 0.9)] * 100
    right = [result([strip(0, 0, 10, 8)] * 2)]
    assert stats(tmp_path, annotations, wrong + right)["AR100"] == 0
    assert stats(tmp_path, annotations, wrong[1:] + right)["AR100"] == pytest.approx(1)
    other = [{**item, "category_id": 2} for item in wrong]
    assert stats(tmp_path, annotations, other + right)["AP"] == pytest.approx(1)


def test_empty_results_score_zero_and_absent_categories_are_left_out(tmp_path: Path) -> None:
    annotations = document([{"segmentations": [strip(0, 0, 10, 8)] * 2}])
    score = score_youtube_vis(*written(tmp_path, annotations, []))
    assert score.stats == {name: -1 if name in {"APm", "APl", "ARm", "ARl"} else 0 for name in STATS}
    assert score.per_category["cat"]["AP"] == 0
    assert score.per_category["dog"]["AP"] == -1
    assert list(score.stats) == list(STATS)


def test_forms_of_segmentation_agree(tmp_path: Path) -> None:
    mask = rectangle(*SIZE, 2, 3, 5, 9)
    polygon = [[3, 2, 12, 2, 12, 7, 3, 7]]
    perfect = result([compressed(mask), None])
    for form in (compressed(mask), uncompressed(mask), polygon):
        for absent in (None, [], {}, compressed(np.zeros(SIZE, np.bool_))):
            annotations = document([{"segmentations": [form, absent], "areas": [45, None]}])
            assert stats(tmp_path, annotations, [perfect])["AP"] == pytest.approx(1)
            swapped = document([{"segmentations": [compressed(mask), None]}])
            assert stats(tmp_path, swapped, [result([form, absent])])["AP"] == pytest.approx(1)


def test_more_frames_objects_and_results_than_a_byte_can_count(tmp_path: Path) -> None:
    long = [strip(0, 0, 10, 8)] * 300
    assert stats(tmp_path, document([{"segmentations": long}], length=300), [result(long)])["AP"] == pytest.approx(1)
    many = document([{"segmentations": long[:2]}] * 270)
    assert stats(tmp_path, many, [result(long[:2])] * 260)["AR100"] == pytest.approx(100 / 270)


def test_empty_runs_inside_a_code_do_not_hide_the_mask(tmp_path: Path) -> None:
    twisted = {"size": list(SIZE), "counts": [0, 0, 20, 0, 0, 30, 150]}
    annotations = document([{"segmentations": [twisted, None]}])
    assert stats(tmp_path, annotations, [result([twisted, None])])["AP"] == pytest.approx(1)


QUIRKS: list[tuple[str, Any, Any, float, str]] = [
    ("ragged result", {}, {"segmentations": [strip(0, 0, 10, 8)]}, 1.0, "results[0].segmentations"),
    ("unknown category", {}, {"category_id": 7}, 0.0, "results[0].category_id"),
    (
        "other size",
        {},
        {"segmentations": [strip(0, 0, 10, 8), compressed(rectangle(20, 10, 0, 0, 20, 8))]},
        1.0,
        "results[0].segmentations[1]",
    ),
    ("ragged track", {"segmentations": [strip(0, 0, 10, 8)]}, {}, 1.0, "annotations[0].segmentations"),
    ("unknown video of a track", {"video_id": 9}, {}, -1.0, "annotations[0].video_id"),
]


@pytest.mark.parametrize(("track", "found", "ap", "message"), [case[1:] for case in QUIRKS], ids=[c[0] for c in QUIRKS])
def test_what_the_official_code_gets_silently_wrong_is_an_error_unless_asked_for(
    tmp_path: Path, track: Any, found: Any, ap: float, message: str
) -> None:
    good = [strip(0, 0, 10, 8)] * 2
    annotations = document([{"segmentations": good, "areas": [80, 80], **track}])
    results = [{**result(good), **found}]
    with pytest.raises(InputError) as caught:
        stats(tmp_path, annotations, results)
    assert message in str(caught.value)
    assert stats(tmp_path, annotations, results, quirks=True)["AP"] == pytest.approx(ap)


def test_duplicate_and_zero_ids(tmp_path: Path) -> None:
    first, second = [strip(0, 0, 10, 8)] * 2, [strip(0, 12, 10, 8)] * 2
    results = [result(first), result(second)]
    duplicate = document([{"segmentations": first, "id": 3}, {"segmentations": second, "id": 3}])
    with pytest.raises(InputError, match=r"annotations\[1\]\.id: 3 .*annotations\[0\]"):
        stats(tmp_path, duplicate, results)
    # Officially the second track stands twice: one result of two is right, and one of two objects is found.
    assert stats(tmp_path, duplicate, results[::-1], quirks=True)["AR100"] == pytest.approx(0.5)
    zero = document([{"segmentations": first, "id": 0}])
    assert stats(tmp_path, zero, results[:1])["AP"] == pytest.approx(1)
    assert stats(tmp_path, zero, results[:1], quirks=True)["AP"] == 0
    assert "official" in score_youtube_vis(*written(tmp_path, zero, results[:1])).notes[0]


def test_quirks_keep_failing_where_the_official_code_fails(tmp_path: Path) -> None:
    annotations = document([{"segmentations": [strip(0, 0, 10, 8)] * 2}])
    with pytest.raises(InputError, match="empty"):
        stats(tmp_path, annotations, [], quirks=True)
    with pytest.raises(InputError, match=r"results\[0\]\.video_id"):
        stats(tmp_path, annotations, [result([None, None], video_id=5)], quirks=True)


# Printed by the evaluator of youtubevos/cocoapi for these two files.
OFFICIAL = [0.20132, 0.315732, 0.168317, 0.30198, 0.0, -1, 0.183333, 0.227778, 0.227778, 0.341667, 0.0, -1]


@pytest.mark.parametrize("official_quirks", [False, True])
def test_real_tracks_get_the_official_numbers(shared_data: Path, official_quirks: bool) -> None:
    folder = shared_data / "ytvis_mini"
    score = score_youtube_vis(folder / "valid.json", folder / "sample_results_valid.json", official_quirks)
    assert list(score.stats) == list(STATS)
    assert list(score.stats.values()) == pytest.approx(OFFICIAL, abs=5e-7)
    assert score.per_category["person"]["AP"] == pytest.approx(0.454455, abs=5e-7)
    assert score.per_category["elephant"]["AP"] == 0
    assert score.per_category["tiger"]["AP"] == -1

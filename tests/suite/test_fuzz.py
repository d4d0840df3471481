"""Files that are wrong in any way end in the suite's own errors; odd but unambiguous ones score as pycocotools does."""

from __future__ import annotations

import contextlib
import copy
import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite.accuracy.mask_ap import score_coco
from suite.accuracy.part_file import finished_entries, line_of, part_file, part_path
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets.coco import CocoDataset
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import SuiteError
from suite.training.data.pools import coco_pool, video_pool
from suite.training.recipe import load_recipe
from tests.suite.accuracy.cases import random_coco, random_video, written
from tests.suite.accuracy.test_mask_ap import official

AMOUNTS = [pytest.param(60, id="some"), pytest.param(3000, id="many", marks=pytest.mark.slow)]
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [0, -1, 1.5, 2**32, 2**53, 2**63, 10**400, -0.0, 1e308, "", "1", "\x00", "é", [], {}, [[]], [None]]
    ),
    st.integers(-3, 200),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.lists(st.floats(-1e6, 1e6), max_size=8),
    st.dictionaries(st.sampled_from(["size", "counts", "id"]), st.integers(-5, 50), max_size=3),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container and key in a document."""
    found: list[tuple[Any, Any]] = []
    keys: Any = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found += [(value, key), *places(value[key])]
    return found


def spoil(data: st.DataObject, document: Any) -> None:
    """Replace or remove up to three places of a document."""
    for _ in range(data.draw(st.integers(1, 3))):
        known = places(document)
        if not known:
            return
        container, key = known[data.draw(st.integers(0, len(known) - 1))]
        if data.draw(st.booleans()):
            container[key] = copy.deepcopy(data.draw(ODD))
        else:
            del container[key]


def relaxed(amount: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=amount, deadline=None, suppress_health_check=checks)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
def test_spoilt_annotations_and_results_are_scored_or_refused(tmp_path: Path, task: str, amount: int) -> None:
    """What can be scored can be trained on, checked and predicted too."""
    make, score = (random_coco, score_coco) if task == "coco" else (random_video, score_youtube_vis)
    refused = []

    @relaxed(amount)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        documents = copy.deepcopy(list(make(data.draw(st.integers(0, 5)))))
        for image in documents[0].get("images", []):
            image["file_name"] = "a.jpg"
        for video in documents[0].get("videos", []):
            video["file_names"] = [f"{frame}.jpg" for frame in range(video["length"])]
        spoil(data, documents[data.draw(st.integers(0, 1))])
        annotations, results = written(tmp_path, *documents)
        try:
            stats = score(annotations, results).stats
        except SuiteError as error:
            refused.append(str(error))
            return
        assert all(-1 <= value <= 1 for value in stats.values())
        with contextlib.suppress(SuiteError):  # a file name may be gone
            if task == "coco":
                dataset = CocoDataset.load(annotations, tmp_path)
                seen = ~dataset.objects.crowd & (dataset.codes.areas_px > 0)
                assert coco_pool(dataset).table.counts().sum() == seen.sum()
            else:
                video_pool(YoutubeVisDataset.load(annotations, tmp_path))

    check()
    assert refused
    assert not any("\n" in message for message in refused)


def respelt(rng: random.Random, document: Any, results: Any) -> tuple[bytes, bytes]:
    """Write annotations and results as other tools may, with one meaning: pycocotools reads the same from the plain."""
    document, results = copy.deepcopy(document), copy.deepcopy(results)
    text = rng.random() < 0.3

    def identity(number: int) -> Any:
        return f"{number:06d}" if text else rng.choice([number, float(number)])

    def side(number: int) -> Any:
        return rng.choice([number, float(number)])

    for entry in (*document["images"], *document["categories"]):
        entry["id"] = identity(entry["id"])
    for image in document["images"]:
        image.update(
            height=side(image["height"]), width=side(image["width"]), file_name="a folder\\b.jpg", licence=None
        )
    for entry in (*document["annotations"], *results):
        entry.update(image_id=identity(entry["image_id"]), category_id=identity(entry["category_id"]))
        mask = entry["segmentation"]
        if isinstance(mask, dict):
            mask["size"] = [side(number) for number in mask["size"]]
            if isinstance(mask["counts"], list):
                mask["counts"] = [side(number) for number in mask["counts"]]
    for item in document["annotations"]:
        item.update(bbox=rng.choice([None, [], [0, 0, 1, 1]]), attributes={"occluded": False})
        item["iscrowd"] = rng.choice([1, 1.0, True] if item["iscrowd"] else [0, 0.0, False, None])
        if item["iscrowd"] is None and rng.random() < 0.5:
            del item["iscrowd"]
    rng.shuffle(document["images"])
    rng.shuffle(document["categories"])
    written = [json.dumps(value, indent=rng.choice([None, 2])).encode() for value in (document, results)]
    spelling = rng.choice([lambda raw: raw, lambda raw: b"\xef\xbb\xbf" + raw, gzip.compress])
    return spelling(written[0]), spelling(written[1])


@pytest.mark.parametrize("amount", [pytest.param(20, id="some"), pytest.param(500, id="many", marks=pytest.mark.slow)])
def test_odd_spellings_score_as_pycocotools_scores_the_plain_ones(
    tmp_path: Path, amount: int, capsys: pytest.CaptureFixture[str]
) -> None:
    odd_truth, odd_results = tmp_path / "odd.json", tmp_path / "odd.results.json"
    compared = 0
    for seed in range(2 * amount):
        rng = random.Random(seed)
        document, results = random_coco(seed)
        for item in document["annotations"]:
            if rng.random() < 0.3:
                right, bottom = document["images"][0]["width"], document["images"][0]["height"]
                item["segmentation"] = [[0, 0, right, 0, right, bottom / 2, 0, bottom], [1, 1, 2, 2], [1, 1]]
        if not results or not document["annotations"]:
            continue
        raw = respelt(rng, document, results)
        odd_truth.write_bytes(raw[0])
        odd_results.write_bytes(raw[1])
        plain, _ = written(tmp_path, document, results)
        wanted = official(plain, results).stats.tolist()
        assert list(score_coco(odd_truth, odd_results).stats.values()) == wanted, seed
        compared += 1
        if compared == amount:
            break
    assert compared == amount
    capsys.readouterr()


@pytest.mark.parametrize("amount", AMOUNTS)
def test_spoilt_recipes_are_read_or_refused(tmp_path: Path, amount: int) -> None:
    text = (Path(__file__).resolve().parents[2] / "suite" / "training" / "recipes" / "shapes.toml").read_text()

    @relaxed(amount)
    @given(st.integers(0, len(text)), st.integers(0, 40), st.text(max_size=8) | st.just("9" * 5000))
    def check(start: int, length: int, put: str) -> None:
        path = tmp_path / "recipe.toml"
        path.write_text(text[:start] + put + text[start + length :], encoding="utf-8", errors="replace")
        with contextlib.suppress(SuiteError):
            load_recipe(str(path))

    check()


@pytest.mark.parametrize("amount", AMOUNTS)
def test_spoilt_part_files_are_continued_where_they_are_whole(tmp_path: Path, amount: int) -> None:
    results, lines = tmp_path / "r.json", [b'{"id": %d, "results": []}\n' % number for number in range(4)]
    with part_file(results, "me") as append:
        append(lines)
    whole = part_path(results).read_bytes()

    @relaxed(amount)
    @given(st.integers(0, len(whole)), st.integers(0, 20), st.binary(max_size=12))
    def check(start: int, length: int, put: bytes) -> None:
        part_path(results).write_bytes(whole[:start] + put + whole[start + length :])
        known = set(finished_entries(results, "me"))
        with part_file(results, "me") as append:
            append([line_of(99, [])])
        assert set(finished_entries(results, "me")) == known | {99}

    check()

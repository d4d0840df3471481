"""Packages for evaluation servers: the official form, the same score, and every violation in one line."""

from __future__ import annotations

import copy
import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.accuracy.mask_ap import score_coco
from suite.accuracy.submission_checks import over_cap
from suite.accuracy.video_ap import score_youtube_vis
from suite.cli import main
from suite.datasets.categories import COCO_UNUSED_IDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from suite.datasets.official import COUNTS
from suite.datasets.splits import SPLITS
from tests.suite.accuracy.cases import compressed, random_coco, random_video, uncompressed, written

MASK = np.eye(6, 8, dtype=np.bool_)
COCO_NAME = "detections_test-dev2017_mobileinst_results"
IMAGES: dict[str, Any] = {
    "images": [{"id": 7, "height": 6, "width": 8}, {"id": 9, "height": 6, "width": 8}],
    "categories": [{"id": 3, "name": "car"}, {"id": 90, "name": "toothbrush"}],
}
COCO_RESULTS: list[Any] = [
    {"image_id": 9, "category_id": 90, "segmentation": uncompressed(MASK), "score": 0.5, "bbox": [0, 0, 1, 1]},
    {"image_id": 7, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 4]], "score": 1, "bbox": [0, 0, 4, 4]},
]
VIDEOS: dict[str, Any] = {
    "videos": [{"id": 5, "height": 6, "width": 8, "length": 3}],
    "categories": [{"id": 1, "name": "person"}],
}
VIDEO_RESULTS: list[Any] = [
    {"video_id": 5, "category_id": 1, "segmentations": [None, uncompressed(MASK), compressed(MASK)], "score": 0.25}
]


def put(path: Path, content: Any) -> Path:
    raw = json.dumps(content).encode()
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def words(task: str, annotations: Path, results: Path, out: Path, *more: str) -> list[str]:
    return ["submit", task, "--annotations", str(annotations), "--results", str(results), "--out", str(out), *more]


def inside(package: Path) -> tuple[str, Any]:
    with zipfile.ZipFile(package) as archive:
        (name,) = archive.namelist()
        return name, json.loads(archive.read(name))


@pytest.fixture
def coco(tmp_path: Path) -> tuple[Path, Path, Path]:
    out = tmp_path / f"{COCO_NAME}.zip"
    return put(tmp_path / "info.json", IMAGES), put(tmp_path / "r.json.gz", COCO_RESULTS), out


@pytest.fixture
def video(tmp_path: Path) -> tuple[Path, Path, Path]:
    return put(tmp_path / "valid.json", VIDEOS), put(tmp_path / "r.json", VIDEO_RESULTS), tmp_path / "out.zip"


def test_coco_package_has_the_official_form(coco: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("coco", *coco, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    name, rows = inside(coco[2])
    assert name == report["inside"] == f"{COCO_NAME}.json"
    assert [sorted(row) for row in rows] == [["category_id", "image_id", "score", "segmentation"]] * 2
    assert rows[0]["segmentation"] == compressed(MASK)
    assert isinstance(rows[1]["segmentation"]["counts"], str)
    assert [row["score"] for row in rows] == [0.5, 1]
    assert any("boxes were left out" in line for line in report["changed"])
    assert any("closed" in line for line in report["unchecked"])
    assert any("not the official list" in line for line in report["unchecked"])
    assert report["split"] is None


def test_youtube_vis_package_has_the_official_form(
    video: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words("youtube-vis", *video)) == 0
    printed = capsys.readouterr().out
    assert "1 results for 1 of 1 videos" in printed
    assert "end of 2025" in printed
    name, rows = inside(video[2])
    assert name == "results.json"
    expected = {**VIDEO_RESULTS[0], "segmentations": [None, compressed(MASK), compressed(MASK)]}
    assert rows == [expected]


def test_bytes_do_not_depend_on_when_or_how_the_results_were_written(coco: tuple[Path, Path, Path]) -> None:
    annotations, results, out = coco
    plain = put(results.with_name("plain.json"), COCO_RESULTS)
    packages = []
    for source in (results, plain, results):
        assert main(words("coco", annotations, source, out)) == 0
        packages.append(out.read_bytes())
    assert packages[0] == packages[1] == packages[2]


@pytest.mark.parametrize("seed", range(4))
def test_packing_keeps_the_score(tmp_path: Path, seed: int) -> None:
    document, results = random_coco(seed)
    used = sorted({category["id"] for category in document["categories"]})
    new = dict(zip(used, sorted(set(range(1, 91)) - COCO_UNUSED_IDS), strict=False))
    for item in document["annotations"] + results:
        item["category_id"] = new[item["category_id"]]
        item.pop("bbox", None)
    for category in document["categories"]:
        category["id"] = new[category["id"]]
    paths = written(tmp_path, document, results)
    out = tmp_path / "p.zip"
    assert main(words("coco", *paths, out, "--trim")) == 0
    again = put(tmp_path / "again.json", inside(out)[1])
    assert score_coco(paths[0], again).stats == score_coco(*paths).stats


@pytest.mark.parametrize("seed", range(4))
def test_packing_keeps_the_score_of_videos(tmp_path: Path, seed: int) -> None:
    document, results = random_video(seed)
    used = sorted({category["id"] for category in document["categories"]})
    for item in document["annotations"] + results:
        item["category_id"] = 1 + used.index(item["category_id"])
    for category in document["categories"]:
        category["id"] = 1 + used.index(category["id"])
    paths = written(tmp_path, document, results)
    out = tmp_path / "p.zip"
    assert main(words("youtube-vis", *paths, out, "--trim")) == 0
    again = put(tmp_path / "again.json", inside(out)[1])
    assert score_youtube_vis(paths[0], again).stats == score_youtube_vis(*paths).stats


def test_real_results_go_through(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "ytvis_mini"
    out = tmp_path / "p.zip"
    assert main(words("youtube-vis", folder / "valid.json", folder / "sample_results_valid.json", out)) == 0
    rows = put(tmp_path / "rows.json", inside(out)[1])
    before = score_youtube_vis(folder / "valid.json", folder / "sample_results_valid.json")
    assert score_youtube_vis(folder / "valid.json", rows).stats == before.stats


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 700))
def test_over_cap_finds_what_a_loop_finds(seed: int, amount: int) -> None:
    rng = np.random.default_rng(seed)
    units, categories = rng.integers(0, 3, amount), rng.integers(0, 2, amount)
    scores = rng.choice([0.1, 0.2, 0.3], amount)
    expected = []
    for unit in range(3):
        for category in range(2):
            places = [i for i in range(amount) if (units[i], categories[i]) == (unit, category)]
            expected += sorted(places, key=lambda i: -scores[i])[100:]
    assert over_cap((units, categories), scores).tolist() == sorted(expected)


def test_cap_is_an_error_unless_trimmed(video: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    many = [{**VIDEO_RESULTS[0], "score": number / 200} for number in range(102)]
    put(video[1], many)
    assert main(words("youtube-vis", *video)) == 2
    assert f"{video[1]}: results[0]: more than 100 results of category 1 in video 5" in capsys.readouterr().err
    assert main(words("youtube-vis", *video, "--trim")) == 0
    assert "2 results beyond the best 100" in capsys.readouterr().out
    assert [row["score"] for row in inside(video[2])[1]] == [number / 200 for number in range(2, 102)]


def changed(results: list[Any], **values: Any) -> list[Any]:
    return [*copy.deepcopy(results[:-1]), {**results[-1], **values}]


BAD_COCO = [
    ("foreign image", IMAGES, changed(COCO_RESULTS, image_id=8), "r.json.gz: results[1].image_id: unknown image 8"),
    ("class index for id", IMAGES, changed(COCO_RESULTS, category_id=0), "results[1].category_id: unknown category 0"),
    (
        "id that COCO left out",
        {**IMAGES, "categories": [*IMAGES["categories"], {"id": 12, "name": "street sign"}]},
        changed(COCO_RESULTS, category_id=12),
        "results[1].category_id: 12 is not a category of COCO; map",
    ),
    (
        "another size",
        IMAGES,
        changed(COCO_RESULTS, segmentation=compressed(np.ones((8, 6), np.bool_))),
        "results[1].segmentation: size [8, 6] differs",
    ),
    ("no results", IMAGES, [], "holds no results"),
    ("null mask", IMAGES, changed(COCO_RESULTS, segmentation=None), "results[1].segmentation: is null"),
    ("no score", IMAGES, [{**COCO_RESULTS[0], "score": None}], "results[0].score: expected `float`"),
]


@pytest.mark.parametrize(
    ("images", "results", "message"), [case[1:] for case in BAD_COCO], ids=[c[0] for c in BAD_COCO]
)
def test_violations_are_one_line_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], images: Any, results: list[Any], message: str
) -> None:
    annotations, given_results = put(tmp_path / "info.json", images), put(tmp_path / "r.json.gz", results)
    out = tmp_path / "new" / f"{COCO_NAME}.zip"
    assert main(words("coco", annotations, given_results, out)) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert message in printed.err
    assert not out.parent.exists() or not list(out.parent.iterdir())


def test_ragged_track_names_its_place(video: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    put(video[1], changed(VIDEO_RESULTS, segmentations=[None]))
    assert main(words("youtube-vis", *video)) == 2
    assert "results[0].segmentations: 1 entries for the 3 frames of video 5" in capsys.readouterr().err
    assert not video[2].exists()


def test_size_limit_leaves_nothing(coco: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words("coco", *coco, "--max-size-mb", "0.0001")) == 2
    assert "--max-size-mb" in capsys.readouterr().err
    assert sorted(path.name for path in coco[2].parent.iterdir()) == ["info.json", "r.json.gz"]


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("out.json", (), "ends in .zip"),
        (f"{COCO_NAME}.zip", ("--split", "val2017"), "is named for test-dev2017"),
        (f"{COCO_NAME}.zip", ("--algorithm", "other"), "is named for mobileinst, not other"),
        ("out.zip", ("--algorithm", "a b"), "letters, digits"),
    ],
)
def test_names_that_contradict(
    coco: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str], name: str, more: tuple[str, ...], message: str
) -> None:
    assert main(words("coco", coco[0], coco[1], coco[2].with_name(name), *more)) == 2
    assert message in capsys.readouterr().err


def test_algorithm_names_the_file_inside(coco: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    out = coco[2].with_name("out.zip")
    assert main(words("coco", coco[0], coco[1], out, "--algorithm", "Other2")) == 0
    assert inside(out)[0] == "detections_test-dev2017_Other2_results.json"
    assert "asks for the package to be named detections_test-dev2017_Other2_results.zip" in capsys.readouterr().out


def images(amount: int) -> dict[str, Any]:
    return {**IMAGES, "images": [{"id": number, "height": 6, "width": 8} for number in range(1, amount + 1)]}


def videos(amount: int, names: tuple[str, ...]) -> dict[str, Any]:
    return {
        "videos": [{"id": number, "height": 6, "width": 8, "length": 3} for number in range(1, amount + 1)],
        "categories": [{"id": place, "name": name} for place, name in enumerate(names, start=1)],
    }


def test_official_lists_are_told_apart_by_their_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = put(tmp_path / "r.json", COCO_RESULTS)
    out = tmp_path / f"{COCO_NAME}.zip"
    assert main(words("coco", put(tmp_path / "i.json", images(5000)), results, out)) == 2
    assert "lists the 5000 images of val2017; give those of test-dev2017" in capsys.readouterr().err
    assert main(words("coco", put(tmp_path / "i.json", images(20288)), results, out, "--json")) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["dataset"], report["split"]) == ("coco", "test-dev2017")
    results = put(tmp_path / "v.json", VIDEO_RESULTS)
    for amount, names, message in (
        (421, YOUTUBE_VIS_2019, "videos of youtube-vis-2021 valid with the categories of youtube-vis-2019"),
        (2238, YOUTUBE_VIS_2019, "whose ground truth is public"),
    ):
        assert main(words("youtube-vis", put(tmp_path / "i.json", videos(amount, names)), results, out)) == 2
        assert message in capsys.readouterr().err
    assert (
        main(words("youtube-vis", put(tmp_path / "i.json", videos(453, YOUTUBE_VIS_2021)), results, out, "--json")) == 0
    )
    report = json.loads(capsys.readouterr().out)
    assert (report["dataset"], report["split"], report["unchecked"][0][:16]) == (
        "youtube-vis-2021",
        "test",
        "the list itself ",
    )


def test_splits_agree_with_the_official_counts_of_the_pins() -> None:
    assert len({(split.task, split.units) for split in SPLITS}) == len(SPLITS)
    for split in SPLITS:
        pin = split.name if split.task == "coco" else f"{split.dataset.replace('-', '_')}_{split.name}"
        for counted in COUNTS.get(pin, {}).values():
            assert counted == split.units


def test_absent_files_end_in_data_missing(coco: tuple[Path, Path, Path]) -> None:
    assert main(words("coco", coco[0].with_name("absent.json"), coco[1], coco[2])) == 4
    assert main(words("coco", coco[0], coco[1].with_name("absent.json"), coco[2])) == 4

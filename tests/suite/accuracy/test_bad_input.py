"""What a person may hand over by mistake: each ends in one line with file, place and remedy, and an exit code."""

from __future__ import annotations

import copy
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suite.cli import main
from tests.suite.accuracy.cases import compressed, written

MASK = compressed(np.eye(6, 8, dtype=np.bool_))
COCO_TRUTH: dict[str, Any] = {
    "images": [{"id": 1, "height": 6, "width": 8}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": MASK, "area": 6, "iscrowd": 0}],
}
COCO_RESULTS: list[Any] = [
    {"image_id": 1, "category_id": 1, "segmentation": MASK, "score": 0.5},
    {"image_id": 1, "category_id": 1, "segmentation": MASK, "score": 0.25},
]
VIDEO_TRUTH: dict[str, Any] = {
    "videos": [{"id": 1, "height": 6, "width": 8, "length": 2}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [
        {
            "id": 1,
            "video_id": 1,
            "category_id": 1,
            "segmentations": [MASK, None],
            "areas": [6, None],
            "iscrowd": 0,
        }
    ],
}
VIDEO_RESULTS: list[Any] = [{"video_id": 1, "category_id": 1, "segmentations": [None, MASK], "score": 0.5}]


def put(*keys: Any) -> Callable[[Any], None]:
    """Return a change that sets the value at a path of keys; the last argument is the value."""
    *path, last, value = keys

    def change(document: Any) -> None:
        for key in path:
            document = document[key]
        document[last] = value

    return change


def drop(*keys: Any) -> Callable[[Any], None]:
    """Return a change that deletes the entry at a path of keys."""

    def change(document: Any) -> None:
        *path, last = keys
        for key in path:
            document = document[key]
        del document[last]

    return change


def code(counts: Any, size: Any = (6, 8)) -> dict[str, Any]:
    return {"size": list(size), "counts": counts}


TRUTH_CASES: list[tuple[str, Callable[[Any], None], str]] = [
    ("no annotations", drop("annotations"), "annotations"),
    ("odd polygon", put("annotations", 0, "segmentation", [[1, 1, 2, 2, 3, 3, 4]]), "annotations[0].segmentation"),
    ("short runs", put("annotations", 0, "segmentation", code([5, 5])), "annotations[0].segmentation"),
    ("other size", put("annotations", 0, "segmentation", code([48], (8, 6))), "annotations[0].segmentation"),
]

RESULT_CASES: list[tuple[str, Callable[[Any], None], str]] = [
    ("foreign image", put(1, "image_id", 7), "results[1].image_id"),
    ("foreign category", put(1, "category_id", 0), "results[1].category_id"),
    ("text for score", put(1, "score", "0.5"), "results[1].score"),
    ("true for score", put(0, "score", True), "results[0].score"),
    ("null score", put(0, "score", None), "results[0].score"),
    ("no score", drop(1, "score"), "results[1]"),
    ("true for image", put(0, "image_id", True), "results[0].image_id"),
    ("text for image", put(0, "image_id", "1"), "results[0].image_id"),
    ("not an object", put(1, 3), "results[1]"),
    ("null mask", put(1, "segmentation", None), "results[1].segmentation"),
    ("empty object for mask", put(1, "segmentation", {}), "results[1].segmentation"),
    ("mask without counts", put(1, "segmentation", {"size": [6, 8]}), "results[1].segmentation"),
    ("three sides", put(1, "segmentation", code("h1", (6, 8, 1))), "results[1].segmentation.size"),
    ("other size", put(1, "segmentation", code("h1", (8, 6))), "results[1].segmentation"),
    ("cut code", put(1, "segmentation", code("h")), "results[1].segmentation"),
    ("short code", put(1, "segmentation", code("11")), "results[1].segmentation"),
    ("long code", put(1, "segmentation", code("h1h1h1h1")), "results[1].segmentation"),
    ("alien code", put(1, "segmentation", code("h1\n\u00fc")), "results[1].segmentation"),
    ("empty code", put(1, "segmentation", code("")), "results[1].segmentation"),
    ("fractional runs", put(1, "segmentation", code([20.5, 27.5])), "results[1].segmentation"),
    ("box of three", put(0, "bbox", [1, 2, 3]), "results[0].bbox"),
    ("one box only", put(0, "bbox", [1, 2, 3, 4]), "results[1].bbox"),
]

VIDEO_TRUTH_CASES: list[tuple[str, Callable[[Any], None], str]] = [
    ("no annotations", drop("annotations"), "annotations"),
    ("null annotations", put("annotations", None), "annotations"),
    ("ragged", put("annotations", 0, "segmentations", [MASK]), "annotations[0].segmentations"),
    ("bad mask", put("annotations", 0, "segmentations", 0, code("h")), "annotations[0].segmentations[0]"),
]

VIDEO_RESULT_CASES: list[tuple[str, Callable[[Any], None], str]] = [
    ("foreign video", put(0, "video_id", 3), "results[0].video_id"),
    ("foreign category", put(0, "category_id", 3), "results[0].category_id"),
    ("ragged", put(0, "segmentations", [None] * 3), "results[0].segmentations"),
    ("one mask for all", put(0, "segmentations", MASK), "results[0].segmentations"),
    ("other size", put(0, "segmentations", 1, code("h1", (8, 6))), "results[0].segmentations[1]"),
    ("bad code", put(0, "segmentations", 1, code("h1h")), "results[0].segmentations[1]"),
    ("segmentation", lambda document: document[0].update(segmentation=document[0].pop("segmentations")), "results[0]"),
]


DOCUMENTS = {"coco": (COCO_TRUTH, COCO_RESULTS), "youtube-vis": (VIDEO_TRUTH, VIDEO_RESULTS)}


def score(task: str, annotations: Path, results: Path) -> list[str]:
    return ["score", task, "--annotations", str(annotations), "--results", str(results), "--json"]


CASES = [
    pytest.param(task, which, alter, message, id=f"{task} {('annotations', 'results')[which]}: {name}")
    for task, which, cases in (
        ("coco", 0, TRUTH_CASES),
        ("coco", 1, RESULT_CASES),
        ("youtube-vis", 0, VIDEO_TRUTH_CASES),
        ("youtube-vis", 1, VIDEO_RESULT_CASES),
    )
    for name, alter, message in cases
]


@pytest.mark.parametrize(("task", "which", "alter", "message"), CASES)
def test_a_wrong_entry_is_named(
    refused: Any, tmp_path: Path, task: str, which: int, alter: Callable[[Any], None], message: str
) -> None:
    documents = copy.deepcopy(DOCUMENTS[task])
    alter(documents[which])
    line = refused(score(task, *written(tmp_path, *documents)), 2)
    assert ("annotations.json", "results.json")[which] in line
    assert message in line


@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("content", "exit_code", "message"),
    [
        (None, 4, "no such"),
        (b"", 2, "line 1 column 1"),
        (b"\xff\xfe[]", 2, ""),
        (gzip.compress(b"[]" * 50, mtime=0)[:-9], 2, "gzip"),
        (gzip.compress(b"[]" * 50, mtime=0)[:12] + b"\xff" * 9, 2, "gzip"),
        (b"\x89PNG\r\n", 2, ""),
        (b"[" * 100_000, 2, ""),
        (b"3", 2, ""),
        (b'{"results": []}', 2, ""),
        (b"[[]]", 2, ""),
    ],
)
def test_a_file_that_is_no_document(
    refused: Any, tmp_path: Path, task: str, which: int, content: bytes | None, exit_code: int, message: str
) -> None:
    paths = written(tmp_path, *DOCUMENTS[task])
    bad = paths[which]
    if content is None:
        bad.unlink()
    else:
        bad.write_bytes(content)
    line = refused(score(task, *paths), exit_code)
    assert str(bad) in line
    assert message in line


@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
def test_the_untouched_documents_score(capsys: pytest.CaptureFixture[str], tmp_path: Path, task: str) -> None:
    words = score(task, *written(tmp_path, *DOCUMENTS[task]))
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert list(json.loads(out)["stats"])[:2] == ["AP", "AP50"]
    assert err == ""
    assert main(words[:-1]) == 0
    assert "cat" in capsys.readouterr().out

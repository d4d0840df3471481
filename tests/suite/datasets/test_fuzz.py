"""Files that are wrong in any way end in the suite's own errors; odd but unambiguous ones score as pycocotools does."""

from __future__ import annotations

import contextlib
import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from suite.accuracy.mask_ap import score_coco
from suite.accuracy.part_file import PartFile, finished_entries, part_path
from suite.accuracy.video_ap import score_youtube_vis
from suite.errors import SuiteError
from suite.training.recipe import load_recipe
from tests.suite.accuracy.cases import random_coco, random_video, written

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
            container[key] = data.draw(ODD)
        else:
            del container[key]


def relaxed(amount: int) -> settings:
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=amount, deadline=None, suppress_health_check=checks)


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("task", ["coco", "youtube-vis"])
def test_spoilt_annotations_and_results_are_scored_or_refused(tmp_path: Path, task: str, amount: int) -> None:
    make, score = (random_coco, score_coco) if task == "coco" else (random_video, score_youtube_vis)
    refused = []

    @relaxed(amount)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        documents = copy.deepcopy(list(make(data.draw(st.integers(0, 5)))))
        spoil(data, documents[data.draw(st.integers(0, 1))])
        try:
            stats = score(*written(tmp_path, *documents)).stats
        except SuiteError as error:
            refused.append(str(error))
        else:
            assert all(-1 <= value <= 1 for value in stats.values())

    check()
    assert refused
    assert not any("\n" in message for message in refused)


@pytest.mark.parametrize("amount", AMOUNTS)
def test_spoilt_recipes_are_read_or_refused(tmp_path: Path, amount: int) -> None:
    text = (Path(__file__).resolve().parents[3] / "suite" / "training" / "recipes" / "shapes.toml").read_text()

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
    with PartFile(results, "me") as part:
        part.append_lines(lines)
    whole = part_path(results).read_bytes()

    @relaxed(amount)
    @given(st.integers(0, len(whole)), st.integers(0, 20), st.binary(max_size=12))
    def check(start: int, length: int, put: bytes) -> None:
        part_path(results).write_bytes(whole[:start] + put + whole[start + length :])
        known = set(finished_entries(results, "me"))
        with PartFile(results, "me") as part:
            part.append(99, [])
        assert set(finished_entries(results, "me")) == known | {99}

    check()

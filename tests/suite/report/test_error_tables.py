"""Recorded errors become a table."""

from pathlib import Path

import pytest

from suite.accuracy.error_analysis.analysis import Analysis, analyse_coco, analyse_youtube_vis
from suite.accuracy.error_analysis.output import error_lines
from suite.records.schema import METRICS, Scalar, Subject
from suite.report.tables import accuracy
from suite.report.verdicts import load_evidence
from tests.suite.accuracy.cases import random_coco, random_video, written
from tests.suite.report.synthetic import SHAPES, TINY, WEIGHTS, RunMaker


@pytest.fixture
def analyses(tmp_path: Path) -> tuple[Analysis, Analysis]:
    return analyse_coco(*written(tmp_path, *random_coco(4))), analyse_youtube_vis(*written(tmp_path, *random_video(7)))


@pytest.fixture
def recorded(filled: RunMaker, analyses: tuple[Analysis, Analysis]) -> RunMaker:
    protocol: dict[str, Scalar] = {"seed": 0, "iterations": 1800, "query_passing": True}
    lines = error_lines(analyses[0], Subject(TINY, WEIGHTS), SHAPES, protocol)
    for frames in (1, 3):
        video: dict[str, Scalar] = protocol | {"key_frame_interval": frames, "association": True}
        lines += error_lines(analyses[1], Subject(TINY, WEIGHTS), SHAPES, video)
    assert {line.metric for line in lines} <= set(METRICS)
    filled.write(filled.run("reproduce"), *lines)
    return filled


def test_every_kind_is_a_row_with_what_it_costs(recorded: RunMaker, analyses: tuple[Analysis, Analysis]) -> None:
    table = accuracy.errors(load_evidence(recorded.folder))
    names = table.columns
    assert f"{accuracy.ALONE}: video T = 3" in names
    by_kind = {row[2].text: row for row in table.rows}
    for analysis, way in zip(analyses, ("images", "video T = 1"), strict=True):
        alone, ladder = names.index(f"{accuracy.ALONE}: {way}"), names.index(f"{accuracy.LADDER}: {way}")
        assert by_kind["AP50 as scored"][ladder].value == pytest.approx(analysis.ap50)
        for rung in analysis.rungs:
            row = by_kind[rung.kind.label]
            assert row[alone].value == pytest.approx(rung.gain)
            assert row[ladder].value == pytest.approx(rung.reached)
    assert not by_kind["identity switch"][names.index(f"{accuracy.ALONE}: images")].text
    assert {"small objects", "medium objects", "large objects"} <= set(by_kind)
    assert any(name.startswith("category name") for name in by_kind)

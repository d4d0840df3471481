"""Which records a cell is made of."""

import pytest

from suite.records.cells import select_cells
from suite.records.schema import Measurement, Subject
from suite.records.store import read_folder
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, SHAPES, TINY, WEIGHTS, RunMaker


def test_a_repeated_seed_replaces_the_older_run_and_says_so(maker: RunMaker):
    old = maker.training(0, 0.40)
    new = maker.training(0, 0.50)
    cells, unused = select_cells(read_folder(maker.folder)[0])
    (cell,) = (cell for cell in cells if cell.metric == "mask_ap")
    assert cell.value == pytest.approx(0.50)
    assert cell.run_ids == (new.run_id,)
    assert cell.interval is not None
    assert any(old.run_id in line and "superseded by newer ones" in line for line in unused)


def test_settings_and_data_are_never_averaged_together(maker: RunMaker):
    maker.training(0, 0.50)
    maker.training(1, 0.60, query_passing=False)
    other = SHAPES.__class__(SHAPES.name, SHAPES.split, "e" * 32 + ".dir", True)
    protocol = {"seed": 2, "iterations": 1800, "query_passing": True, "recipe_digest": "recipe-True", "task": "coco"}
    maker.write(maker.run("score"), Measurement("mask_ap", 0.9, Subject(TINY, WEIGHTS), protocol, other))
    cells = load_evidence(maker.folder).find("mask_ap")
    assert sorted(round(cell.value, 2) for cell in cells) == [0.5, 0.6, 0.9]


def test_the_latest_valid_timing_wins(maker: RunMaker):
    maker.latency({BASE_640: 100.0, BASE_512: 80.0})
    maker.latency({BASE_640: 110.0, BASE_512: 85.0})
    spoiled = maker.latency({BASE_640: 300.0, BASE_512: 200.0}, valid=False)
    evidence = load_evidence(maker.folder)
    (cell,) = evidence.find("latency_cpu_ms", BASE_640, {"span": "network"})
    assert cell.value == pytest.approx(110.0)
    assert any(spoiled.run_id in line and "core_taken_away" in line for line in evidence.left_out)


def test_uncommitted_changes_are_marked(maker: RunMaker):
    maker.training(0, 0.5, git_dirty=True)
    maker.training(1, 0.5)
    maker.latency({BASE_640: 100.0})
    evidence = load_evidence(maker.folder)
    assert evidence.find("mask_ap")[0].dirty
    assert not evidence.find("latency_cpu_ms")[0].dirty
    unknown = maker.latency({BASE_640: 100.0}, git_dirty=None, git_sha=None)
    assert load_evidence(maker.folder).find("latency_cpu_ms")[0].run_ids == (unknown.run_id,)
    assert load_evidence(maker.folder).find("latency_cpu_ms")[0].dirty

"""Figures: frontiers are right, labels never cover each other, axes never mix devices."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Text

from suite.report.figures import FIGURES, drawing, figure_bytes, style
from suite.report.figures.ap_latency import ap_latency, pareto, published_points
from suite.report.figures.measured import latency_ratio, latest_curves, values_of
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, RunMaker

POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_pareto_is_what_nothing_beats(points):
    frontier = set(pareto(points))
    for cost, gain in points:
        beaten = any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
        assert ((cost, gain) in frontier) == (not beaten)


def test_labels_of_the_published_panels_do_not_overlap_and_stay_inside(filled: RunMaker):
    evidence = load_evidence(filled.folder)
    with style():
        figure = ap_latency(evidence)
        assert figure is not None
        expected = (len(published_points(evidence, "table1/")) + 1, 4, 3)
        for axes, count in zip(figure.axes, expected, strict=True):
            found = [Text.get_window_extent(child, axes.figure.canvas.get_renderer()) for child in axes.texts]
            assert len(found) == count
            for one, other in itertools.combinations(found, 2):
                assert not one.overlaps(other)
            frame = axes.get_window_extent()
            assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in found)


def test_without_records_only_the_published_panels_are_drawn(maker: RunMaker):
    evidence = load_evidence(maker.folder)
    with style():
        figure = ap_latency(evidence)
        assert figure is not None
        assert len(figure.axes) == 2
        assert all(drawing(name)(evidence) is None for name in FIGURES if name != "ap_latency")


def test_training_curve_has_one_line_per_seed_of_the_newest_setting(maker: RunMaker):
    maker.training(0, 0.5, query_passing=False)
    maker.training(0, 0.5)
    maker.training(1, 0.6)
    maker.training(1, 0.55)
    curves = latest_curves(load_evidence(maker.folder))
    assert [series.protocol["seed"] for series in curves] == [0, 1]
    steps_done, values = values_of(curves[1], "mask_ap")
    assert steps_done == [450, 900, 1350, 1800]
    assert values[-1] == pytest.approx(0.55)


def test_user_settings_do_not_change_a_figure(filled: RunMaker):
    import matplotlib

    filled.latency({BASE_640: 100.0, BASE_512: 81.0})
    evidence = load_evidence(filled.folder)
    plain = figure_bytes(latency_ratio, evidence)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.dpi": 30}):
        assert figure_bytes(latency_ratio, evidence) == plain

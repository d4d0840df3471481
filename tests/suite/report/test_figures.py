"""Figures: frontiers are right, labels never cover each other, axes never mix devices."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.text import Annotation, Text

from suite.report.figures import ap_latency, ap_reuse, latency_ratio, training_curve
from suite.report.figures._style import PointLabel, figure_bytes, freeze_layout, new_figure, place_labels, style
from suite.report.figures.ap_latency import pareto, steps
from suite.report.verdicts import load_evidence
from tests.suite.report.synthetic import BASE_512, BASE_640, RunMaker

FIGURES = (ap_latency, ap_reuse, latency_ratio, training_curve)
POINTS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(POINTS)
def test_pareto_is_what_nothing_beats(points):
    frontier = set(pareto(points))
    for cost, gain in points:
        beaten = any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points)
        assert ((cost, gain) in frontier) == (not beaten)


def test_steps_are_flat_and_reach_the_right_edge():
    assert steps([(1, 5), (3, 8)], 10) == ([1, 3, 3, 10], [5, 5, 8, 8])


def boxes(axes):
    renderer = axes.figure.canvas.get_renderer()
    found = []
    for child in axes.texts:
        if isinstance(child, Annotation):
            child.update_positions(renderer)
        found.append(Text.get_window_extent(child, renderer))
    return found


def test_labels_of_the_published_panels_do_not_overlap_and_stay_inside(filled: RunMaker):
    evidence = load_evidence(filled.folder)
    with style():
        figure = ap_latency.draw(evidence)
        assert figure is not None
        expected = (len(ap_latency.published_points(evidence, "table1/")) + 1, 4, 3)
        for axes, count in zip(figure.axes, expected, strict=True):
            found = boxes(axes)
            assert len(found) == count
            for one, other in itertools.combinations(found, 2):
                assert not one.overlaps(other)
            frame = axes.get_window_extent()
            assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in found)


def test_no_label_is_dropped_where_none_has_a_free_place():
    with style():
        figure = new_figure(2, 1)
        axes = figure.subplots()
        axes.plot([1], [1], "o")
        freeze_layout(figure)
        place_labels(axes, [PointLabel(1, 1, f"a long name {number}") for number in range(30)])
        assert {text.get_text() for text in axes.texts} == {f"a long name {number}" for number in range(30)}


def test_crowded_points_still_get_separate_labels():
    with style():
        figure = new_figure(5, 4)
        axes = figure.subplots()
        spots = np.random.default_rng(0).uniform(0.4, 0.6, (12, 2))
        axes.plot(*spots.T, "o")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        freeze_layout(figure)
        place_labels(axes, [PointLabel(x, y, f"label {number}") for number, (x, y) in enumerate(spots)])
        found = boxes(axes)
    assert len(found) == 12
    assert not any(one.overlaps(other) for one, other in itertools.combinations(found, 2))


def test_published_and_measured_milliseconds_have_axes_of_their_own(filled: RunMaker):
    with style():
        figure = ap_latency.draw(load_evidence(filled.folder))
        assert figure is not None
        labels = [axes.get_xlabel() for axes in figure.axes]
    assert [("Snapdragon" in label, "Test CPU" in label) for label in labels] == [
        (True, False),
        (True, False),
        (False, True),
    ]


def test_without_records_only_the_published_panels_are_drawn(maker: RunMaker):
    evidence = load_evidence(maker.folder)
    with style():
        figure = ap_latency.draw(evidence)
        assert figure is not None
        assert len(figure.axes) == 2
        assert all(module.draw(evidence) is None for module in FIGURES if module is not ap_latency)


def test_training_curve_has_one_line_per_seed_of_the_newest_setting(maker: RunMaker):
    maker.training(0, 0.5, query_passing=False)
    maker.training(0, 0.5)
    maker.training(1, 0.6)
    maker.training(1, 0.55)
    curves = training_curve.latest_curves(load_evidence(maker.folder))
    assert [series.protocol["seed"] for _, series in curves] == [0, 1]
    steps_done, values = training_curve.column(curves[1][1], "mask_ap")
    assert steps_done == [450, 900, 1350, 1800]
    assert values[-1] == pytest.approx(0.55)


def test_reuse_figure_has_a_line_per_setting_and_every_seed(maker: RunMaker):
    for seed in range(2):
        maker.training(seed, 0.5 + seed / 10)
        maker.training(seed, 0.48 + seed / 10, query_passing=False)
    with style():
        figure = ap_reuse.draw(load_evidence(maker.folder))
        assert figure is not None
        (axes,) = figure.axes
        handles, names = axes.get_legend_handles_labels()
    assert len(names) == 2
    assert list(handles[0].get_xdata()) == [1, 3, 6]
    assert len(axes.lines) == 2 + 6


def test_user_settings_do_not_change_a_figure(filled: RunMaker):
    import matplotlib

    filled.latency({BASE_640: 100.0, BASE_512: 81.0})
    evidence = load_evidence(filled.folder)
    plain = figure_bytes(latency_ratio.draw, evidence)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.dpi": 30}):
        assert figure_bytes(latency_ratio.draw, evidence) == plain

"""Whose times a candidate is compared with."""

from __future__ import annotations

from suite.latency.job import Labels
from suite.latency.results import anchor_index


def labels(model: str, span: str, interval: int | None = None) -> Labels:
    return Labels(model, span, "none", "fp32", 64, 64, None, interval)


def test_masks_are_compared_with_the_anchor_that_makes_them_in_its_network() -> None:
    run = [
        labels("ours", "network"),
        labels("ours", "selection"),
        labels("rival", "network"),
        labels("rival", "with_masks"),
        labels("rival", "selection"),
        labels("ours", "network", 1),
        labels("ours", "network", 3),
    ]
    assert [anchor_index(run, index) for index in range(len(run))] == [0, 1, 0, 0, 1, 5, 5]

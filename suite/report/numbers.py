"""How numbers, claims and origins are printed: one place, so that the same value looks the same in every output."""

from __future__ import annotations

from collections.abc import Callable

from suite.claims.claim import Claim
from suite.records.difference import RatioInterval
from suite.records.schema import METRICS, Interval
from suite.report.cells import Cell
from suite.report.evidence import Verdict

CLAIM_METRICS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP_S",
    "ap_medium": "AP_M",
    "ap_large": "AP_L",
    "ar1": "AR1",
    "latency_snapdragon_778g_ms": "ms on a Snapdragon 778G",
    "latency_rtx_2080_ti_ms": "ms on an RTX 2080 Ti",
}


def points(fraction: float) -> str:
    """Print an AP fraction as points with one decimal: 0.5514 -> ``55.1``."""
    return f"{fraction * 100:.1f}"


def milliseconds(value: float) -> str:
    """Print a duration with three significant digits, never in exponents: ``0.0523``, ``9.87``, ``98.7``, ``1234``."""
    if value <= 0:
        return f"{value:.0f}"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def scaled(value: float, unit: float) -> str:
    """Print a count in units of ``unit`` (1e6, 1e9) with three significant digits or more."""
    number = value / unit
    return f"{number:.1f}" if number >= 100 else f"{number:.2f}" if number >= 10 else f"{number:.3f}"


BY_UNIT: dict[str, Callable[[float], str]] = {
    "fraction": points,
    "AP points": "{:.1f}".format,
    "ms": milliseconds,
    "ratio": "{:.3f}".format,
    "s": "{:.0f}".format,
    "count": "{:.0f}".format,
}
"""Unit of the metric catalogue, or of a claim -> how its numbers are printed; other units have two digits."""


def value_text(value: float, unit: str) -> str:
    """Print a value in its unit."""
    return BY_UNIT.get(unit, "{:.2g}".format)(value)


def ratio(value: float) -> str:
    """Print a ratio with three decimals."""
    return value_text(value, "ratio")


def cell_text(cell: Cell) -> str:
    """Print a cell of the records by its metric's unit; an AP with its deviation over seeds where there are several."""
    unit = METRICS[cell.metric].unit
    spread = f" ± {points(cell.deviation)}" if unit == "fraction" and cell.deviation is not None else ""
    return value_text(cell.value, unit) + spread


def difference_text(metric: str, value: float) -> str:
    """Print a difference of two values of a metric with its sign: AP in points, times in ms, counts in full."""
    return ("-" if value < 0 else "+") + value_text(abs(value), METRICS[metric].unit)


def claim_label(claim: Claim) -> str:
    """Return what a claim is about, e.g. ``"MobileInst TopFormer-Base 640, AP50 on coco test-dev"``."""
    if claim.kind != "absolute":
        return claim.statement
    size = f" {claim.short_side_px}" if claim.short_side_px else ""
    backbone = "" if claim.backbone == "unstated" else f" {claim.backbone}"
    where = "" if claim.device else f" on {claim.dataset}"
    version = " (arXiv v1 abstract)" if claim.row_id.startswith("arxiv") else ""
    return f"{claim.method}{backbone}{size}, {CLAIM_METRICS[claim.metric]}{where}{version}"


def published_text(claim: Claim) -> str:
    """Return the printed number with its unit: ``"31.2 AP points"``, ``"0.466"``."""
    return claim.text if claim.unit == "ratio" else f"{claim.text} {claim.unit.replace('AP points', 'AP')}"


def ours_text(verdict: Verdict, with_origin: bool = True) -> str:
    """Return our value with interval and origin, e.g. ``"0.648 [0.641, 0.655]"``; empty where there is none."""
    if verdict.ours is None:
        return ""
    text, *ends = (value_text(value, verdict.claim.unit) for value in (verdict.ours, *(verdict.interval or ())))
    text += f" [{', '.join(ends)}]" if ends else ""
    return f"{text} ({verdict.origin})" if with_origin and verdict.origin != "measured" else text


def ratio_text(value: float, interval: Interval | RatioInterval | None) -> str:
    """Print a ratio with its interval where there is one: ``"0.648 [0.641, 0.655]"``."""
    return ratio(value) + (f" [{ratio(interval.low)}, {ratio(interval.high)}]" if interval else "")

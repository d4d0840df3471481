"""How numbers are printed: one place, so that the same value looks the same in every table."""

from __future__ import annotations

from suite.records.schema import METRICS
from suite.report.select import Cell


def points(fraction: float) -> str:
    """Print an AP fraction as points with one decimal: 0.5514 -> ``55.1``."""
    return f"{fraction * 100:.1f}"


def milliseconds(value: float) -> str:
    """Print a duration with three significant digits, never in exponents: ``0.0523``, ``9.87``, ``98.7``, ``1234``."""
    if value <= 0:
        return f"{value:.0f}"
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"


def ratio(value: float) -> str:
    """Print a ratio with three decimals."""
    return f"{value:.3f}"


def scaled(value: float, unit: float) -> str:
    """Print a count in units of ``unit`` (1e6, 1e9) with three significant digits or more."""
    number = value / unit
    return f"{number:.1f}" if number >= 100 else f"{number:.2f}" if number >= 10 else f"{number:.3f}"


def value_text(value: float, unit: str) -> str:
    """Print a value in a claim's unit: ``AP points``, ``ms`` or ``ratio``."""
    if unit == "ms":
        return milliseconds(value)
    return ratio(value) if unit == "ratio" else f"{value:.1f}"


def cell_text(cell: Cell) -> str:
    """Print a cell of the records by its metric's unit, with the deviation over seeds where there are several."""
    unit = METRICS[cell.metric].unit
    if unit == "fraction":
        spread = "" if cell.deviation is None else f" ± {points(cell.deviation)}"
        return points(cell.value) + spread
    if unit == "ms":
        return milliseconds(cell.value)
    if unit == "ratio":
        return ratio(cell.value)
    if unit == "s":
        return f"{cell.value:.0f}"
    return f"{cell.value:.0f}" if unit == "count" else f"{cell.value:.2g}"


def difference_text(metric: str, value: float) -> str:
    """Print a difference of two values of a metric with its sign: AP in points, times in ms, counts in full."""
    unit = METRICS[metric].unit
    if unit == "fraction":
        return f"{value * 100:+.1f}"
    if unit == "ms":
        return f"{'-' if value < 0 else '+'}{milliseconds(abs(value))}"
    decimals = {"ratio": "+.3f", "count": "+.0f", "s": "+.0f"}
    return format(value, decimals.get(unit, "+.2g"))


def seeds_text(cell: Cell) -> str:
    """Name the seeds of a cell: ``seed 0``, ``3 seeds (0, 1, 2)``; empty where the metric has none."""
    seeds = [str(sample.seed) for sample in cell.samples if sample.seed is not None]
    if not seeds:
        return ""
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds ({', '.join(seeds)})"

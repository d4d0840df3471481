"""Two sides' measurements set against each other, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from suite.errors import NothingMeasuredError
from suite.gates import IGNORED_KEYS
from suite.records.difference import Difference, difference
from suite.records.schema import METRICS, Scalar
from suite.report.cell_ids import cell_ids
from suite.report.numbers import cell_text, difference_text
from suite.report.raw_samples import RawSamples
from suite.report.select import LATENCY_KEYS, Cell
from suite.report.sides import Side
from suite.report.table import Column, Table, TableCell, text_cell

SIZE_KEYS = frozenset({"height_px", "width_px", "short_side_px", "long_side_px"})
"""Two models are compared each at its own input size; one model with itself at the same size only."""
EXACT_UNITS = frozenset({"count"})
EXTRA_KEYS = IGNORED_KEYS | {"anchor"}


@dataclass(frozen=True)
class Pair:
    """One cell that both sides have, over the seeds that the difference is of."""

    cell_id: str
    first: Cell
    second: Cell
    delta: Difference

    @property
    def label(self) -> str:
        """The second cell's id without model and input size where the two sides differ in them."""
        if self.first.model == self.second.model:
            return self.cell_id
        size = f"/{self.second.get('height_px')}x{self.second.get('width_px')}"
        return self.cell_id.replace(f"/{self.second.model}", "", 1).replace(size, "", 1)

    def to_json(self) -> dict[str, Any]:
        """Return the pair as plain values."""
        return {
            "cell": self.cell_id,
            "metric": self.first.metric,
            "unit": METRICS[self.first.metric].unit,
            "first": self.first.value,
            "second": self.second.value,
            "runs": [list(self.first.run_ids), list(self.second.run_ids)],
            **self.delta.to_json(),
        }


@dataclass(frozen=True)
class Comparison:
    """Everything two sides have in common, and how much they have not."""

    first: Side
    second: Side
    pairs: tuple[Pair, ...]
    only_first: int
    only_second: int

    def only(self, metric: str) -> Comparison:
        """Return the comparison of one metric."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.first.metric == metric))

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {
            "first": self.first.title,
            "second": self.second.title,
            "pairs": [pair.to_json() for pair in self.pairs],
            "only_first": self.only_first,
            "only_second": self.only_second,
        }


def setting_of(cell: Cell, with_model: bool = True) -> tuple[object, ...]:
    """Return what two cells must share to be compared: metric, model, data, protocol and, for times, the machine.

    The recipe's digest is left out: comparing two recipes is what a user may want.

    Args:
        cell: a measured cell.
        with_model: False compares models, each at its own input size.
    """
    latency = cell.metric.startswith("latency_")
    ignored = EXTRA_KEYS if with_model else EXTRA_KEYS | SIZE_KEYS
    kept: list[tuple[str, Scalar]] = [
        (key, value) for key, value in cell.protocol if key not in ignored and (not latency or key in LATENCY_KEYS)
    ]
    return (
        cell.metric,
        cell.model if with_model else None,
        cell.dataset.digest if cell.dataset else None,
        tuple(kept),
        cell.origin,
        cell.machine.cpu if latency or cell.metric.startswith("train_") else None,
    )


def _by_setting(side: Side, with_model: bool) -> dict[tuple[object, ...], Cell]:
    """Return cells by setting; of several the largest input, then the newest."""

    def order(cell: Cell) -> tuple[object, ...]:
        height = cell.get("height_px")
        return (height if isinstance(height, int) else 0, cell.latest.started_utc)

    return {setting_of(cell, with_model): cell for cell in sorted(side.cells, key=order)}


def _over_shared_seeds(first: Cell, second: Cell) -> tuple[Cell, Cell]:
    """Return both cells over the seeds that their difference is of, as `difference` chooses them.

    That is the shared ones, else all: a difference over some seeds does not belong beside means over others.
    """
    shared = {sample.seed for sample in first.samples} & {sample.seed for sample in second.samples}
    if not shared or (len(shared) == 1 and min(len(first.samples), len(second.samples)) > 1):
        return first, second
    kept = [tuple(sample for sample in cell.samples if sample.seed in shared) for cell in (first, second)]
    return replace(first, samples=kept[0]), replace(second, samples=kept[1])


def _judged(first: Cell, second: Cell, raw: RawSamples) -> Difference:
    metric = METRICS[first.metric]
    return difference(
        raw.numbers(first), raw.numbers(second), metric.higher_is_better, exact=metric.unit in EXACT_UNITS
    )


def compare(first: Side, second: Side) -> Comparison:
    """Compare every cell that both sides have; two sides of one model each are compared as models.

    Raises:
        NothingMeasuredError: if they have no cell in common.
    """
    with_model = first.models == second.models or max(len(first.models), len(second.models)) > 1
    old, new = _by_setting(first, with_model), _by_setting(second, with_model)
    raw = RawSamples([*first.runs, *second.runs])
    names = {id(cell): name for name, cell in cell_ids(second.cells).items()}
    shared = {key: _over_shared_seeds(old[key], new[key]) for key in old if key in new}
    pairs = tuple(
        Pair(names[id(new[key])], before, after, _judged(before, after, raw)) for key, (before, after) in shared.items()
    )
    if not pairs:
        raise NothingMeasuredError(
            f"{first.title} and {second.title} have no metric, data, protocol and machine in common; "
            "measure one of them again like the other"
        )
    return Comparison(first, second, pairs, len(old) - len(pairs), len(new) - len(pairs))


def delta_text(metric: str, delta: Difference) -> str:
    """Return a difference with its interval as printed: ``"+1.2 [+0.3, +2.1]"``."""
    ends = (
        ""
        if delta.low is None or delta.high is None or delta.low == delta.high
        else (f" [{difference_text(metric, delta.low)}, {difference_text(metric, delta.high)}]")
    )
    return difference_text(metric, delta.value) + ends


def comparison_table(found: Comparison) -> Table:
    """Return the comparison as a table of the report: AP in points, times in ms."""
    columns = (
        Column("measured"),
        Column("A", align="right"),
        Column("B", align="right"),
        Column("B - A [95 %]", align="right"),
        Column("verdict"),
    )
    rows = []
    for pair in found.pairs:
        text = delta_text(pair.first.metric, pair.delta)
        verdict = TableCell(pair.delta.word, bold=pair.delta.word in ("better", "worse"), note=pair.delta.basis)
        cells = (TableCell(cell_text(pair.first)), TableCell(cell_text(pair.second)), TableCell(text))
        rows.append((text_cell(pair.label), *cells, verdict))
    notes = []
    if found.only_first or found.only_second:
        notes.append(f"Not compared: {found.only_first} cells that only A has, {found.only_second} that only B has.")
    title = f"A: {found.first.title}, B: {found.second.title}"
    return Table("compare", title, columns, tuple(rows), tuple(notes))


def summary(pairs: Sequence[Pair]) -> str:
    """Return how many cells came to which word, e.g. ``"12 compared: 1 worse, 11 undecided"``."""
    words = [pair.delta.word for pair in pairs]
    counted = [f"{words.count(word)} {word}" for word in dict.fromkeys(sorted(words))]
    return f"{len(words)} compared: {', '.join(counted)}"

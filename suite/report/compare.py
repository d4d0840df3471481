"""Compare two sides' measurements cell by cell; a side is a record file, a folder, a model, a run or a commit."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.accuracy.score import DRAWS
from suite.errors import InputError, NothingMeasuredError
from suite.records.cells import LATENCY_KEYS, Cell, Sample, cell_ids, select_cells
from suite.records.difference import Difference, Draws, Number, difference, rounds_of
from suite.records.provenance import git
from suite.records.schema import METRICS, Series
from suite.records.store import RunFile, read_folder, read_run
from suite.report.table import Row, Table, TableCell, cell_text, make_table, value_text

JUDGED_KEYS = frozenset({"recipe_digest", "anchor"})
"""Protocol entries in which two results may differ and still be compared: another recipe is what is judged."""
SIZE_KEYS = frozenset({"height_px", "width_px", "short_side_px", "long_side_px"})
"""Two models are compared each at its own input size; one model with itself at the same size only."""
SHOWN_RUNS = 6


class Side(NamedTuple):
    """One side: what it is (``"commit f7118537b1"``), its runs, oldest first, and the cells selected from them.

    Where a model was named, only its cells are there.
    """

    title: str
    runs: list[RunFile]
    cells: list[Cell]


def _side(title: str, runs: Sequence[RunFile], model: str | None = None) -> Side:
    return Side(title, list(runs), [cell for cell in select_cells(runs)[0] if model in (None, cell.model)])


def read_whole(folder: Path) -> list[RunFile]:
    """Read a folder of records of which none may be left out.

    Raises:
        InputError: if a record is spoiled.
    """
    runs, refused = read_folder(folder)
    if refused:
        raise InputError(f"{folder}: {refused[0]}")
    return runs


def find_side(name: str, runs: Sequence[RunFile]) -> Side:
    """Return what ``name`` stands for: tried in this order, a path, a model, a commit, a part of a run's id.

    Args:
        name: a ``.jsonl`` file, a folder of them, a model's name, a commit (SHA, branch, ``HEAD~1``) or a run id.
        runs: the recorded runs in which models, runs and commits are looked up, oldest first.

    Raises:
        InputError: if it is none of these, a spoiled record, or fits several runs.
        NothingMeasuredError: if it is a commit from which nothing was measured.
    """
    path = Path(name)
    if path.is_file():
        return _side(f"record {path.name}", [read_run(path)])
    if path.is_dir():
        return _side(f"records in {path.name}", read_whole(path))
    if any(item.subject.model == name for file in runs for item in file.measurements):
        return _side(f"model {name}", runs, name)
    known = list(dict.fromkeys(file.run.git_sha for file in runs if file.run.git_sha))
    is_sha = re.fullmatch(r"[0-9a-fA-F]{7,40}", name)
    commits = [sha for sha in known if is_sha and sha.startswith(name.lower())]
    matches = [file for file in runs if name in file.run.run_id] if len(commits) != 1 else []
    if len(matches) == 1:
        return _side(f"run {matches[0].run.run_id}", matches)
    if matches:
        listed = ", ".join(file.run.run_id for file in matches[:SHOWN_RUNS])
        raise InputError(f"{name!r} fits {len(matches)} runs: {listed}; write more of one")
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    full = commits[0] if len(commits) == 1 else git(*words)
    if full is None:
        raise InputError(
            f"{name!r} is no record file, folder, model, run or commit; 'python -m suite records --csv' has the names"
        )
    measured = [file for file in runs if file.run.git_sha == full]
    if not measured:
        named = ", ".join(sha[:10] for sha in known[-SHOWN_RUNS:]) or "none"
        raise NothingMeasuredError(f"no record was measured at commit {full[:10]}; commits with records: {named}")
    return _side(f"commit {full[:10]}", measured)


class Pair(NamedTuple):
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
        return self.cell_id.replace(f"/{self.second.model}", "", 1).replace(f"/{self.second.size}", "", 1)

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


class Comparison(NamedTuple):
    """Both sides' titles, everything they have in common, and how many cells only one of them has."""

    first: str
    second: str
    pairs: list[Pair]
    only_first: int
    only_second: int

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values."""
        return {**self._asdict(), "pairs": [pair.to_json() for pair in self.pairs]}

    @property
    def summary(self) -> str:
        """How many cells came to which word, e.g. ``"12 compared: 1 worse, 11 undecided"``."""
        words = Counter(pair.delta.word for pair in self.pairs)
        return f"{len(self.pairs)} compared: {', '.join(f'{count} {word}' for word, count in sorted(words.items()))}"


def _setting_key(cell: Cell, with_model: bool) -> tuple[object, ...]:
    """Return what two cells must share to be compared: metric, model, data, protocol and, for times, the machine.

    Without the model, models are compared, each at its own input size.
    """
    latency = cell.metric.startswith("latency_")
    ignored = JUDGED_KEYS if with_model else JUDGED_KEYS | SIZE_KEYS
    shared = ((key, value) for key, value in cell.protocol.items() if not latency or key in LATENCY_KEYS)
    return (
        cell.metric,
        cell.model if with_model else None,
        cell.data_digest,
        frozenset(item for item in shared if item[0] not in ignored),
        cell.origin,
        cell.cpu if latency or cell.metric.startswith("train_") else None,
    )


def shared_cells(
    first: Sequence[Cell], second: Sequence[Cell], with_model: bool = True
) -> list[tuple[str, Cell, Cell]]:
    """Return (id, cell of the first side, cell of the second) of what both have, over the seeds of their difference.

    Of several cells of one setting the largest input counts, then the newest. The seeds are the shared ones, else all:
    a difference over some seeds does not belong beside means over others. The ids are those of the second side;
    without ``with_model``, cells of two models are compared.
    """

    def order(cell: Cell) -> tuple[object, ...]:
        return (cell.get("height_px") or 0, cell.latest.started_utc)

    names = {id(cell): name for name, cell in cell_ids(second).items()}
    old, new = ({_setting_key(cell, with_model): cell for cell in sorted(side, key=order)} for side in (first, second))
    return [(names[id(new[key])], *_over_shared_seeds(old[key], new[key])) for key in old if key in new]


def _over_shared_seeds(first: Cell, second: Cell) -> tuple[Cell, Cell]:
    """Return both cells over the seeds that `difference` chooses."""
    shared = {sample.seed for sample in first.samples} & {sample.seed for sample in second.samples}
    if not shared or (len(shared) == 1 and min(len(first.samples), len(second.samples)) > 1):
        return first, second
    kept = [tuple(sample for sample in cell.samples if sample.seed in shared) for cell in (first, second)]
    return replace(first, samples=kept[0]), replace(second, samples=kept[1])


def _draws(sample: Sample, series: Sequence[Series]) -> Draws | None:
    """Return the bootstrap draws of an AP, or None where its record holds none."""
    item = sample.measurement
    for one in series:
        matching = one.name == DRAWS and one.columns == [item.metric] and one.dataset == item.dataset
        if matching and item.protocol.items() <= one.protocol.items():
            seed, values = one.protocol.get("draw_seed"), np.array([float(row[0] or 0) for row in one.rows])
            units = "videos" if item.metric.startswith("video_") else "images"
            return Draws(values, seed if isinstance(seed, int) else None, units)
    return None


def _rounds(sample: Sample, series: Sequence[Series]) -> NDArray[np.float64] | None:
    """Return milliseconds of a latency, shape (rounds, samples per round), or None where there are none."""
    item = sample.measurement
    column = item.metric.removeprefix("latency_")
    for one in series:
        same = all(one.protocol.get(key) == item.protocol.get(key) for key in LATENCY_KEYS)
        if one.name == "latency_samples" and column in one.columns and one.rows and same:
            return rounds_of(one, column)
    return None


def numbers_of(cell: Cell, runs: Sequence[RunFile]) -> list[Number]:
    """Return a cell's samples, oldest first, with the noise that their records hold of each."""
    by_run = {file.run.run_id: file.series for file in runs}
    numbers = []
    for sample in sorted(cell.samples, key=lambda item: item.run.started_utc):
        item, run_id = sample.measurement, sample.run.run_id
        series = [one for one in by_run[run_id] if one.subject == item.subject]
        noise = (item.interval, _draws(sample, series), _rounds(sample, series))
        numbers.append(Number(sample.value, sample.seed, *noise, run_id))
    return numbers


def compare(first: Side, second: Side, metric: str | None = None) -> Comparison:
    """Compare every cell that both sides have, or those of one metric; two sides of one model each as models.

    Raises:
        NothingMeasuredError: if they have no cell in common.
    """
    models = [{cell.model for cell in side.cells} for side in (first, second)]
    with_model = models[0] == models[1] or max(map(len, models)) > 1
    shared = shared_cells(first.cells, second.cells, with_model)
    pairs = []
    for name, before, after in shared:
        if metric in (None, after.metric):
            kind = METRICS[after.metric]
            old, new = (numbers_of(cell, [*first.runs, *second.runs]) for cell in (before, after))
            found = difference(old, new, kind.higher_is_better, exact=kind.unit == "count")
            pairs.append(Pair(name, before, after, found))
    if not pairs:
        raise NothingMeasuredError(
            f"{first.title} and {second.title} have no {metric or 'metric, data, protocol and machine'} in common; "
            "measure one of them again like the other"
        )
    only = [len({_setting_key(cell, with_model) for cell in side.cells}) - len(shared) for side in (first, second)]
    return Comparison(first.title, second.title, pairs, *only)


def _delta_text(metric: str, delta: Difference) -> str:
    """Return a difference with its interval, each with its sign: ``"+1.2 [+0.3, +2.1]"``; AP in points, times in ms."""
    known = delta.low is not None and delta.high is not None and delta.low != delta.high
    shown = [value for value in (delta.value, delta.low, delta.high)[: 3 if known else 1] if value is not None]
    text, *ends = (("-" if value < 0 else "+") + value_text(abs(value), METRICS[metric].unit) for value in shown)
    return f"{text} [{', '.join(ends)}]" if ends else text


def comparison_table(found: Comparison) -> Table:
    """Return the comparison as a table of the report: AP in points, times in ms."""
    rows: list[Row] = [
        {
            "measured": pair.label,
            "A": TableCell(cell_text(pair.first), pair.first.value),
            "B": TableCell(cell_text(pair.second), pair.second.value),
            "B - A [95 %]": TableCell(_delta_text(pair.first.metric, pair.delta), pair.delta.value),
            "verdict": TableCell(pair.delta.word, bold=pair.delta.word in ("better", "worse"), note=pair.delta.basis),
        }
        for pair in found.pairs
    ]
    notes = []
    if found.only_first or found.only_second:
        notes.append(f"Not compared: {found.only_first} cells that only A has, {found.only_second} that only B has.")
    return make_table(f"A: {found.first}, B: {found.second}", rows, notes)

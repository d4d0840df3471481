"""The accuracy gate: new records against baseline records, by rules that are data (`gate.toml`).

A gate that compared nothing fails with its own exit code, so that an empty run never passes for a good one. The
latency gate, which has to time both sides in one run, is `suite.latency.gate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Literal, NamedTuple

import msgspec

from suite.errors import DataError, InputError, NothingMeasuredError, RegressionError
from suite.records.cells import select_cells
from suite.records.difference import Number, difference
from suite.records.schema import METRICS, Scalar
from suite.records.store import RunFile
from suite.report.compare import read_whole, shared_cells
from suite.report.table import Row, Table, TableCell, make_table, number_cell
from suite.typed import read_typed

GATES_FILE = Path(__file__).with_suffix(".toml")
WORDS = ("worse", "not measured", "pass")
NOTHING_SHARED = "no setting and seed that both sides have"


class AccuracyRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One rule of ``gate.toml``: which cells it judges, and by how many AP points (0 to 100) they may be worse.

    The metric is a fraction of which more is better; ``reason`` says why it is guarded with this tolerance. The numbers
    of an experiment, such as the ablation, are judged by rules alone whose protocol names it.
    """

    metric: str
    dataset: str
    protocol: dict[str, Scalar]
    tolerance_points: Annotated[float, msgspec.Meta(ge=0, le=100)]
    reason: str


class _Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    accuracy: list[AccuracyRule]


class GateLine(NamedTuple):
    """One comparison: its rule, its word, the id of the judged cell, and over the shared seeds both means in AP points.

    The means are None, and there are no seeds, where nothing could be compared.
    """

    rule: AccuracyRule
    word: Literal["pass", "worse", "not measured"]
    what: str
    baseline: float | None = None
    new: float | None = None
    seeds: tuple[int | None, ...] = ()


def load_rules(path: Path = GATES_FILE) -> list[AccuracyRule]:
    """Read the rules.

    Raises:
        DataError: if the file is absent.
        InputError: if it is not TOML, has an unknown or missing key, a wrong type, an unknown metric or no rule.
    """
    rules = read_typed(path, _Rules, "file of gate rules", "see suite/report/gate.toml").accuracy
    for number, rule in enumerate(rules):
        metric = METRICS.get(rule.metric)
        if metric is None or metric.unit != "fraction" or not metric.higher_is_better:
            raise InputError(f"{path}: rule {number} needs an AP metric of the catalogue")
    if not rules:
        raise InputError(f"{path}: holds no rule, so nothing would be compared; write one")
    return rules


def check_accuracy(
    baseline: Sequence[RunFile], new: Sequence[RunFile], rules: Sequence[AccuracyRule]
) -> list[GateLine]:
    """Compare new runs with baseline runs rule by rule, over the seeds that both sides have.

    A run on both sides is new: were it the baseline's latest as well, it would be compared with itself and always pass.
    Runs are given oldest first. There is at least one line per rule: ``"not measured"`` where the two sides share no
    setting and seed.
    """
    judged = {file.run.run_id for file in new}
    sides = [select_cells(runs)[0] for runs in ([file for file in baseline if file.run.run_id not in judged], new)]

    lines = []
    for rule in rules:
        compared = []
        meant = (rule.metric, "measured", rule.dataset)
        found = ([cell for cell in side if (cell.metric, cell.origin, cell.data_name) == meant] for side in sides)
        older, newer = ([cell for cell in side if cell.has({"experiment": None} | rule.protocol)] for side in found)
        for name, before, after in shared_cells(older, newer):
            old, now = ([Number(100 * item.value, item.seed) for item in cell.samples] for cell in (before, after))
            # A loss of exactly the tolerance passes; the small term is for sums of binary fractions.
            change = difference(old, now, True, exact=True, tolerance=rule.tolerance_points + 1e-9)
            if change.by_seed:
                word: Literal["pass", "worse"] = "worse" if change.word == "worse" else "pass"
                then, today = (fmean(item.value for item in side if item.seed in change.by_seed) for side in (old, now))
                compared.append(GateLine(rule, word, name, then, today, tuple(change.by_seed)))
        settings = ", ".join(f"{key} = {value}" for key, value in rule.protocol.items())
        name = f"{METRICS[rule.metric].label} on {rule.dataset}" + (f" ({settings})" if settings else "")
        lines += compared or [GateLine(rule, "not measured", name)]
    return lines


def gate_table(lines: Sequence[GateLine]) -> Table:
    """Return the comparisons as a table, worse ones first, each with its rule's reason as footnote."""
    rows: list[Row] = []
    for line in sorted(lines, key=lambda line: WORDS.index(line.word)):
        values = dict.fromkeys(("baseline", "new", "change"), TableCell(note=NOTHING_SHARED))
        if line.baseline is not None and line.new is not None:
            values = {"baseline": number_cell(line.baseline, ".1f"), "new": number_cell(line.new, ".1f")}
            values["change"] = number_cell(line.new - line.baseline, "+z.1f")
        rows.append(
            {
                "number": line.what,
                **values,
                "allowed": f"-{line.rule.tolerance_points:g}",
                "seeds": ", ".join(map(str, line.seeds)),
                "gate": TableCell(line.word, bold=line.word != "pass", note=line.rule.reason),
            }
        )
    notes = ("AP points, mean over the seeds that both sides have.",)
    return make_table("Accuracy gate", rows, notes)


def read_sides(baseline: Path, new: Path) -> tuple[list[RunFile], list[RunFile]]:
    """Read the records of both sides.

    Raises:
        DataError: if a folder is absent.
        InputError: if both are one folder, whose records can never be worse than themselves, or a record is spoiled:
            a gate does not judge by what is left over.
    """
    for folder in (baseline, new):
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder of records; measure them or name another folder")
    if baseline.resolve() == new.resolve():
        raise InputError(f"{new}: the baseline is this folder, too; name another one with --baseline")
    return read_whole(baseline), read_whole(new)


def enforce(lines: Sequence[GateLine]) -> None:
    """Raise what the gate's outcome is, nothing if all is well.

    Raises:
        RegressionError: if anything is worse.
        NothingMeasuredError: if a rule could not be applied.
    """
    for word, error, outcome in (
        ("worse", RegressionError, "failed"),
        ("not measured", NothingMeasuredError, "compared nothing"),
    ):
        found = [line.what for line in lines if line.word == word]
        if found:
            raise error(f"{len(found)} of {len(lines)} accuracy gates {outcome}; first: {found[0]}")

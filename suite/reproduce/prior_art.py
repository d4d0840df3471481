"""Every latency row of the paper's Tables 1 and 2 timed on one core in one run; other readings in another run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.errors import InputError, NothingMeasuredError
from suite.latency.device import Protocol
from suite.latency.estimate.counting import published_models
from suite.latency.host import measure_host
from suite.latency.prepare import prepare_apart
from suite.latency.report import LatencyReport, record_lines
from suite.latency.spans import TimedModel
from suite.models import ModelEntry, discover
from suite.progress import say
from suite.records.provenance import start_run
from suite.records.schema import Measurement, Scalar, Series, Subject
from suite.records.store import write_run
from suite.reproduce.shapes import parity_lines, size_lines

ANCHOR = "mobileinst_topformer_base_640"
OPERATORS = "graph_operators"
SURE_RUNTIME = "onnxruntime_cpu"
"""The runtime that every graph already ran on when it was exported; others run each graph once before the timed run."""
TRIAL_LIMIT_S = 300.0
TRIAL = """
import pathlib, sys
import numpy as np
from suite.export.runtime import open_session
session = open_session(sys.argv[1], pathlib.Path(sys.argv[2]))
session.run({name: np.zeros(shape, np.float32) for name, shape in session.input_shapes().items()})
"""


@dataclass(frozen=True)
class Row:
    """One model at one input shape.

    Attributes:
        entry: the model.
        size: (height_px, width_px).
        spans: what is timed of it, keys of `suite.latency.spans.SPANS`.
    """

    entry: ModelEntry
    size: tuple[int, int]
    spans: tuple[str, ...]


def _row(entry: ModelEntry) -> Row:
    """Return a model at its primary shape: network, its extension to masks where that is another graph, selection."""
    further = {"with_masks": entry.masks_apart, "selection": entry.selection is not None}
    return Row(entry, entry.input_shapes[0], ("network", *(span for span, has in further.items() if has)))


def published_rows(table: str = "") -> list[Row]:
    """Return the models that stand for the published latencies, the anchor first, then in the tables' order.

    Args:
        table: only the rows of this table, e.g. ``"table1"``; the anchor comes in any case.
    """
    named = {entry.name: entry for entry in published_models(table)}
    return [_row(entry) for entry in (named.pop(ANCHOR, discover()[ANCHOR]), *named.values())]


def alternative_rows() -> list[Row]:
    """Return the anchor, and every model that reads a published row differently, after its default."""
    entries = discover()
    chosen: dict[str, ModelEntry] = {ANCHOR: entries[ANCHOR]}
    for entry in entries.values():
        if entry.alternative_to:
            chosen[entry.alternative_to] = entries[entry.alternative_to]
            chosen[entry.name] = entry
    return [_row(entry) for entry in chosen.values()]


def trial(runtime: str, graph: Path, timeout_s: float = TRIAL_LIMIT_S) -> str:
    """Run a graph once in a process of its own, since an engine may die of a graph that it did not understand.

    Args:
        runtime: a module of ``suite/export/runtimes``.
        graph: an exported graph.
        timeout_s: seconds it may take.

    Returns:
        Why the engine cannot run it, in one line; empty if it can.
    """
    command = [sys.executable, "-c", TRIAL, runtime, str(graph)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout_s)
    except subprocess.TimeoutExpired:
        return f"{runtime} did not finish one run in {timeout_s:.0f} s"
    if done.returncode == 0:
        return ""
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode < 0:
        return f"{runtime} was stopped by signal {-done.returncode} in one run of this graph"
    return f"{runtime} cannot run this graph ({last[:200]})"


def _prepare_rows(rows: Iterable[Row], seed: int, runtime: str) -> tuple[list[TimedModel], list[tuple[Row, str]]]:
    """Export every model that the runtime takes, one process after the other; return them, and the others with reasons.

    The first one, the anchor, must be taken, since nothing could be compared without it.
    """
    prepared: list[TimedModel] = []
    refused: list[tuple[Row, str]] = []
    for row in rows:
        try:
            made = prepare_apart(row.entry.name, size=row.size, spans=row.spans, seed=seed, runtime=runtime)
            graphs = {graph.path for graph in made.graphs.values()} if runtime != SURE_RUNTIME else ()
            reason = next(filter(None, (trial(runtime, graph) for graph in sorted(graphs))), "")
            if reason:
                raise InputError(f"{row.entry.name}: {reason}")
            prepared.append(made)
        except InputError as error:
            if not prepared:
                raise
            refused.append((row, str(error)))
            say(f"not timed: {error}")
    return prepared, refused


def _refused_lines(refused: Iterable[tuple[Row, str]], runtime: str) -> list[Measurement]:
    """Return a latency without value, with its reason, for every span of a model that could not be prepared."""
    lines = []
    for row, reason in refused:
        for span in row.spans:
            where: dict[str, Scalar] = {"span": span, "runtime": runtime.removesuffix("_cpu"), "device": "host"}
            how: dict[str, Scalar] = {"threads": 1, "precision": "fp32", "valid": False}
            size: dict[str, Scalar] = {"height_px": row.size[0], "width_px": row.size[1]}
            fields = {**where, **how, **size}
            lines.append(Measurement("latency_cpu_ms", None, Subject(row.entry.name), fields, reason=reason))
    return lines


def _operator_lines(prepared: TimedModel) -> list[Series]:
    """Return the operators of every exported graph of a model, most frequent first."""
    rows: list[list[Scalar]] = [
        [part, operator, count]
        for part, graph in prepared.graphs.items()
        if graph.report is not None
        for operator, count in graph.report.op_counts.items()
    ]
    return [Series(OPERATORS, Subject(prepared.name), ["graph", "operator", "nodes"], rows)]


def measure_rows(
    rows: Sequence[Row],
    title: str,
    protocol: Protocol,
    core: int | None = None,
    seed: int = 0,
    runtime: str = SURE_RUNTIME,
) -> tuple[LatencyReport, Path]:
    """Time models together on one core and write one record of everything that was counted, exported and timed.

    Args:
        rows: models, the anchor first.
        title: what the run is called.
        protocol: how to time.
        core: the core to pin to; the idlest one if None.
        seed: of weights and synthetic inputs.
        runtime: a module of ``suite/export/runtimes``.

    Returns:
        The report and the record's path.

    Raises:
        InputError: if the anchor cannot be exported, or a file, option or core is bad.
        NothingMeasuredError: if the measured process crashed, or nothing valid was measured.
    """
    prepared, refused = _prepare_rows(rows, seed, runtime)
    run = start_run(title, seed=seed)
    report = measure_host(prepared, protocol, core)
    lines: list[Measurement | Series] = [*size_lines((row.entry, row.size) for row in rows)]
    for item in prepared:
        lines += [*parity_lines(item), *_operator_lines(item)]
    path = write_run(run, [*lines, *_refused_lines(refused, runtime), *record_lines(report)])
    if report.valid_count == 0:
        raise NothingMeasuredError("prior-art: no row was valid; stop other work on the machine and run again")
    return report, path

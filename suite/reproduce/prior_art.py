"""Every latency row of the paper's Tables 1 and 2 timed on one core in one run; other readings in another run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from suite.errors import InputError, reason_of
from suite.export.runtime import open_session
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


def published_rows(table: str = "") -> list[ModelEntry]:
    """Return the models that stand for the published latencies, the anchor first, then in the tables' order.

    Args:
        table: only the rows of this table, e.g. ``"table1"``; the anchor comes in any case.
    """
    named = {entry.name: entry for entry in published_models(table)}
    return [named.pop(ANCHOR, discover()[ANCHOR]), *named.values()]


def alternative_rows() -> list[ModelEntry]:
    """Return the anchor, and every model that reads a published row differently, after its default."""
    entries = discover()
    chosen: dict[str, ModelEntry] = {ANCHOR: entries[ANCHOR]}
    for entry in entries.values():
        if entry.alternative_to:
            chosen[entry.alternative_to] = entries[entry.alternative_to]
            chosen[entry.name] = entry
    return list(chosen.values())


def run_once(runtime: str, graph: Path) -> None:
    """Run a graph on zeros, as a runtime that is not sure to take it may fail or die of it.

    Raises:
        InputError: if the runtime cannot run it.
    """
    try:
        session = open_session(runtime, graph)
        session.run({name: np.zeros(shape, np.float32) for name, shape in session.input_shapes().items()})
    except Exception as error:
        raise InputError(f"{runtime} cannot run {graph.name} ({reason_of(error)})") from None


def _prepared(row: ModelEntry, seed: int, runtime: str) -> TimedModel:
    """Export a model, and try the runtime in a process of its own."""
    made = prepare_apart(row.name, size=row.input_shapes[0], spans=row.spans, seed=seed, runtime=runtime)
    if runtime != SURE_RUNTIME:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
            try:
                for graph in made.graphs.values():
                    executor.submit(run_once, runtime, graph.path).result()
            except BrokenProcessPool:
                raise InputError(f"{row.name}: {runtime} died in one run of its graph") from None
    return made


def _prepare_rows(
    rows: Iterable[ModelEntry], seed: int, runtime: str
) -> tuple[list[TimedModel], list[Measurement | Series]]:
    """Export every model that the runtime takes; return them, and of each other a latency without value a span.

    The first one, the anchor, must be taken, since nothing could be compared without it.
    """
    prepared: list[TimedModel] = []
    refused: list[Measurement | Series] = []
    for row in rows:
        try:
            prepared.append(_prepared(row, seed, runtime))
        except InputError as error:
            if not prepared:
                raise
            say(f"not timed: {error}")
            height_px, width_px = row.input_shapes[0]
            for span in row.spans:
                where: dict[str, Scalar] = {"span": span, "runtime": runtime.removesuffix("_cpu"), "device": "host"}
                how: dict[str, Scalar] = {"threads": 1, "precision": "fp32", "valid": False}
                fields = {**where, **how, "height_px": height_px, "width_px": width_px}
                refused.append(Measurement("latency_cpu_ms", None, Subject(row.name), fields, reason=str(error)))
    return prepared, refused


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
    rows: Sequence[ModelEntry],
    title: str,
    protocol: Protocol,
    core: int | None = None,
    seed: int = 0,
    runtime: str = SURE_RUNTIME,
) -> tuple[LatencyReport, Path]:
    """Time models at their primary sizes on one core; write one record of all that was counted, exported and timed.

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
    lines: list[Measurement | Series] = [*size_lines(rows)]
    for item in prepared:
        lines += [*parity_lines(item), *_operator_lines(item)]
    path = write_run(run, [*lines, *refused, *record_lines(report)])
    report.require_valid("prior-art: no row")
    return report, path

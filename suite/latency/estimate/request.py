"""``latency estimate``: networks, graphs and programs to milliseconds of an Arm core, as a table, JSON or a record.

Counts that come with the suite are used as they are; what was not counted yet is counted here, under emulation.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import msgspec

from suite.errors import InputError
from suite.files import write_text
from suite.latency.estimate.calibration import (
    FOLDER,
    LEVEL,
    Core,
    CountRow,
    Errors,
    Estimate,
    compare,
    estimate,
    load_counts,
    load_published,
)
from suite.latency.estimate.counting import (
    ENGINE,
    LIMIT_S,
    PRECISIONS,
    Count,
    count_graph,
    count_program,
    graph_source,
    model_source,
    published_models,
)
from suite.models import get_entry
from suite.progress import say
from suite.records.provenance import start_run
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.records.store import write_run

PUBLISHED_MODELS = "published"
"""The word for all models that stand for a published latency of the phone."""
DEVICES = {"cortex_a78": "snapdragon_778g"}
"""Cores that stand for a device of the claims: the core that the paper's latencies are of, as far as it says."""
BLOCK_COLUMNS = ["instructions", "runs", "share_of_cycles", "kinds"]


def count_row(count: Count) -> CountRow:
    """Return a count as a line of ``counts.csv``."""
    return CountRow(
        network=count.network,
        engine=count.engine,
        mca_model=count.mca_model,
        instructions=str(count.instructions),
        cycles=str(count.cycles),
        covered_share=f"{count.covered_share:.4f}",
        blocks=str(count.blocks),
        loop_share=f"{count.loop_share:.4f}",
        precision=count.precision,
        span=count.span,
        height_px="" if count.height_px is None else str(count.height_px),
        width_px="" if count.width_px is None else str(count.width_px),
        source_sha256=count.source_sha256,
        tools=", ".join(f"{name} {version}" for name, version in sorted(count.versions.items())),
    )


def _key(row: CountRow) -> tuple[str, ...]:
    """Return what a count is of."""
    return (row.network, row.engine, row.precision, row.span, row.height_px, row.width_px, row.mca_model)


def model_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the models that are meant: those named, or all of the published latencies."""
    if tuple(names) == (PUBLISHED_MODELS,):
        return tuple(entry.name for entry in published_models())
    return tuple(names)


def model_counts(
    names: Sequence[str], precisions: Sequence[str], core: Core, size: tuple[int, int] | None, again: bool
) -> list[tuple[CountRow, Count | None]]:
    """Return the counts of models: those that come with the suite, else counted here.

    Args:
        names: models of ``suite/models``.
        precisions: ``fp16``, ``fp32``.
        core: names the core that cycles are modelled for.
        size: (height_px, width_px); each model's primary size if None.
        again: count here even where a count comes with the suite.

    Returns:
        Count rows in the order asked for, each with its details where it was counted here; of several models, one
        that ncnn cannot take is left out with a line that says why.

    Raises:
        InputError: if a model or precision is unknown, or ncnn takes none of the models.
        NothingMeasuredError: if something has to be counted and a tool is missing.
    """
    for precision in precisions:
        if precision not in PRECISIONS:
            raise InputError(f"--precision {precision}: not one of {', '.join(PRECISIONS)}")
    known = {_key(row): row for row in load_counts()}
    found: list[tuple[CountRow, Count | None]] = []
    for name in names:
        entry = get_entry(name)
        height_px, width_px = map(str, size or entry.input_shapes[0])
        for precision in precisions:
            key = (name, ENGINE, precision, entry.masks_span, height_px, width_px, core.mca_model)
            if key in known and not again:
                found.append((known[key], None))
                continue
            try:
                count = count_graph(model_source(name, size), precision, core.mca_model)
            except InputError as error:
                if len(names) == 1:
                    raise
                say(f"not counted: {error}")
                continue
            found.append((count_row(count), count))
    if names and not found:
        raise InputError("latency estimate: none of the models can be counted; the lines above say why")
    return found


def graph_counts(graphs: Sequence[str], precisions: Sequence[str], core: Core) -> list[tuple[CountRow, Count | None]]:
    """Return the counts of ONNX graphs, each ``FILE`` or ``FILE:name``.

    Raises:
        InputError: if a file is absent or not ONNX, or ncnn cannot take it.
        NothingMeasuredError: if a tool is missing.
    """
    found: list[tuple[CountRow, Count | None]] = []
    for text in graphs:
        source = graph_source(text)
        for precision in precisions:
            count = count_graph(source, precision, core.mca_model)
            found.append((count_row(count), count))
    return found


def program_counts(
    program: Path, arguments: Sequence[str], name: str, engine: str, precision: str, core: Core
) -> list[tuple[CountRow, Count | None]]:
    """Return the count of an aarch64 Linux program that runs one inference between two calls of ``sched_yield``."""
    count = count_program(program, arguments, name or program.stem, engine, precision, core.mca_model, LIMIT_S)
    return [(count_row(count), count)]


def estimates(counts: Sequence[tuple[CountRow, Count | None]], core: Core) -> tuple[list[Estimate], Errors]:
    """Return the milliseconds of counts, and how far such estimates are off.

    Raises:
        NothingMeasuredError: if the core has too few networks to compare with.
    """
    errors = compare(core, load_counts(), load_published())
    return [estimate(row, core, errors) for row, _ in counts], errors


def record_lines(
    found: Sequence[Estimate], counts: Sequence[tuple[CountRow, Count | None]], core_name: str
) -> list[Measurement | Series]:
    """Return record lines: an estimated latency with its interval for each count, and the hottest blocks if known."""
    lines: list[Measurement | Series] = []
    for item, (row, count) in zip(found, counts, strict=True):
        subject = Subject(row.network)
        fields: dict[str, Scalar] = {
            "span": row.span or "network",
            "runtime": row.engine,
            "runtime_version": next((t.split(" ")[1] for t in row.tools.split(", ") if t.startswith(row.engine)), None),
            "threads": 1,
            "precision": row.precision,
            "height_px": int(row.height_px) if row.height_px else None,
            "width_px": int(row.width_px) if row.width_px else None,
            "device": DEVICES.get(core_name, core_name),
            "core": item.core.title,
            "clock_ghz": item.core.clock_ghz,
            "mca_model": row.mca_model,
            "instructions": int(row.instructions),
            "cycles": int(row.cycles),
            "weights": "zeros",
            "tools": row.tools,
            "source_sha256": row.source_sha256,
        }
        covers = "error of such estimates against published one-thread times of other networks; not the paper's engine"
        interval = Interval(item.low_ms, item.high_ms, LEVEL, covers)
        lines.append(
            Measurement("latency_wall_ms", item.latency_ms, subject, fields, interval=interval, origin="estimated")
        )
        if count is not None:
            rows: list[list[Scalar]] = [list(block) for block in count.hottest]
            lines.append(Series("estimate_blocks", subject, BLOCK_COLUMNS, rows, fields))
    return lines


def write_record(found: Sequence[Estimate], counts: Sequence[tuple[CountRow, Count | None]], core_name: str) -> Path:
    """Write a run of estimates below ``reports/records`` and return its file."""
    return write_run(start_run("latency-estimate"), record_lines(found, counts, core_name))


def update_counts(counts: Sequence[tuple[CountRow, Count | None]], target: Path = FOLDER / "counts.csv") -> None:
    """Put counts made here into ``counts.csv``, in place of those of the same networks and settings."""
    rows = {_key(row): row for row in load_counts()} | {_key(row): row for row, count in counts if count is not None}
    text = io.StringIO()
    columns = [field.name for field in msgspec.structs.fields(CountRow)]
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(rows[key]) for key in sorted(rows))
    write_text(target, text.getvalue())

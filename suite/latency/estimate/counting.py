"""Count what one inference of a network costs on an Arm core, under emulation; each count is made once and cached.

The network runs on ncnn, as on a device: from its ONNX graph, by ncnn's own converter, with the kernels of ncnn's
aarch64 wheel. A count is exact: the same graph, engine and tools give the same instructions on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite.claims.claim import SNAPDRAGON
from suite.claims.loader import load_claims
from suite.errors import InputError
from suite.export.artifact import input_shapes, read_graph
from suite.files import file_digest, write_json
from suite.latency.estimate.cycles import Cycles, model_cycles
from suite.latency.estimate.emulation import run_emulated
from suite.latency.estimate.tools import FOLDER, Tools, find_tools
from suite.latency.prepare import file_and_name, prepare_apart
from suite.models import ModelEntry, discover, get_entry
from suite.paths import runs_dir
from suite.progress import say
from suite.typed import read_typed

ENGINE = "ncnn"
PRECISIONS = ("fp16", "fp32")
INFERENCE = FOLDER / "ncnn_inference.py"
LIMIT_S = 4 * 3600.0
"""Wall seconds after which an emulated inference is stopped; the largest published network takes under an hour."""


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was counted, and from what.

    Attributes:
        network: the model's name, or the user's for a graph or program.
        engine: what ran it.
        precision: ``fp16`` or ``fp32``; empty for a program.
        span: ``network``, or ``with_masks`` where the network stops before its masks; ``program`` for a program.
        height_px: of the input; None for a program or a graph whose first input is no picture.
        width_px: likewise.
        mca_model: the core that cycles were modelled for.
        instructions: instructions of one inference.
        cycles: modelled cycles of one inference.
        covered_share: share of the instructions in modelled blocks (0 to 1).
        blocks: modelled blocks.
        loop_share: share of the instructions in loops among them (0 to 1).
        source_sha256: digest of the graph or program.
        versions: of emulator, LLVM and engine.
        hottest: blocks with most cycles: instructions, runs, share of all cycles, instructions by kind.
    """

    network: str
    engine: str
    precision: str
    span: str
    height_px: int | None
    width_px: int | None
    mca_model: str
    instructions: int
    cycles: int
    covered_share: float
    blocks: int
    loop_share: float
    source_sha256: str
    versions: dict[str, str]
    hottest: tuple[tuple[int, int, float, str], ...]


@dataclass(frozen=True)
class Source:
    """A graph to count: its name in tables, the file, what it covers, and its input."""

    network: str
    graph: Path
    span: str
    size: tuple[int, int] | None


def published_models(table: str = "") -> list[ModelEntry]:
    """Return the models that stand for the published latencies of a phone, in the tables' order.

    Args:
        table: only rows of this table, e.g. ``"table1"``; all if empty.
    """
    by_row = {row: entry for entry in discover().values() for row in entry.published_rows}
    rows = [claim.row_id for claim in load_claims() if claim.metric == SNAPDRAGON and claim.row_id.startswith(table)]
    return list({by_row[row].name: by_row[row] for row in rows if row in by_row}.values())


def model_source(name: str, size: tuple[int, int] | None) -> Source:
    """Export a model for ncnn, with seeded random weights, and return its graph up to the masks.

    Args:
        name: a model of ``suite/models``.
        size: (height_px, width_px); the model's primary size if None.

    Raises:
        InputError: if there is no such model, or it cannot be exported at this size.
    """
    entry = get_entry(name)
    span = entry.masks_span
    chosen = size or entry.input_shapes[0]
    prepared = prepare_apart(name, size=chosen, spans=(span,), runtime="ncnn_cpu")
    part = "with_masks" if span == "with_masks" else "whole"
    return Source(name, prepared.graphs[part].path, span, chosen)


def graph_source(text: str) -> Source:
    """Return somebody's ONNX graph as something to count.

    Args:
        text: ``FILE`` or ``FILE:NAME``; its inputs have fixed shapes, and the name is the one in tables.

    Raises:
        InputError: if the file is absent or not ONNX, or the name is none.
    """
    path, name = file_and_name(text)
    first = next(iter(input_shapes(read_graph(path)).values()), ())
    size = (first[2], first[3]) if len(first) == 4 else None
    return Source(name, path, "network", size)


def _instruction_kinds(assembly: str) -> str:
    """Return how many instructions of each kind a block has, the most frequent first, e.g. ``48 fmla, 3 ld1``."""
    kinds = [line.split()[0] for line in assembly.split("; ")]
    counted = sorted({kind: kinds.count(kind) for kind in kinds}.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {kind}" for kind, number in counted)


def _cached(key: Sequence[str]) -> Path:
    digest = hashlib.sha256(json.dumps(list(key)).encode()).hexdigest()[:16]
    return runs_dir() / "estimate" / f"{digest}.json"


def _read_cached(path: Path) -> Count | None:
    if not path.is_file():
        return None
    try:
        return read_typed(path, Count, "cached count", "delete it to count again")
    except InputError:
        return None


def _count(
    source: tuple[str, str, str, tuple[int, int] | None, str],
    engine: str,
    mca_model: str,
    tools: Tools,
    words: Sequence[str],
    limit_s: float,
    environment: dict[str, str],
) -> Count:
    """Run a program under emulation, model its cycles, and keep the count."""
    network, precision, span, size, sha256 = source
    blocks = run_emulated(tools, words, limit_s, environment)
    cycles: Cycles = model_cycles(tools, mca_model, blocks)
    height_px, width_px = size or (None, None)
    return Count(
        network=network,
        engine=engine,
        precision=precision,
        span=span,
        height_px=height_px,
        width_px=width_px,
        mca_model=mca_model,
        instructions=cycles.instructions,
        cycles=cycles.cycles,
        covered_share=round(cycles.covered_share, 4),
        blocks=cycles.blocks,
        loop_share=round(cycles.loop_share, 4),
        source_sha256=sha256,
        versions=tools.versions,
        hottest=tuple(
            (length, runs, round(share, 4), _instruction_kinds(assembly))
            for length, runs, share, assembly in cycles.hottest
        ),
    )


def count_graph(source: Source, precision: str, mca_model: str, limit_s: float = LIMIT_S) -> Count:
    """Return what one inference of a graph costs on ncnn, counting it unless that was done before.

    Args:
        source: the graph.
        precision: ``fp16`` (weights, activations and arithmetic, as TNN computes on ARM by default) or ``fp32``.
        mca_model: the core, as ``llvm-mca`` names it.
        limit_s: wall seconds after which the emulated program is stopped.

    Raises:
        InputError: if the precision is none of the two, an input has no fixed size, or ncnn cannot take the graph.
        NothingMeasuredError: if a tool is missing.
    """
    if precision not in PRECISIONS:
        raise InputError(f"--precision {precision}: not one of {', '.join(PRECISIONS)}")
    from suite.export.runtimes.ncnn_cpu import convert

    tools = find_tools()
    param = convert(source.graph)[0]
    sha256 = file_digest(param)
    code = [file_digest(FOLDER / name) for name in ("emulation.py", "cycles.py", "ncnn_inference.py", "block_counts.c")]
    target = _cached([sha256, precision, mca_model, json.dumps(tools.versions, sort_keys=True), *code])
    if (found := _read_cached(target)) is not None:
        return msgspec.structs.replace(found, network=source.network)
    say(f"estimate: counting {source.network} {source.span} in {precision} (minutes)")
    shapes = [
        "x".join(str(side) for side in reversed(shape[1:])) for shape in input_shapes(read_graph(source.graph)).values()
    ]
    words = [*tools.python, str(INFERENCE), str(param), precision, *shapes]
    environment = {"PYTHONHOME": str(tools.root / "usr"), "PYTHONPATH": str(tools.folder / "site")}
    what = (source.network, precision, source.span, source.size, sha256)
    count = _count(what, ENGINE, mca_model, tools, words, limit_s, environment)
    write_json(target, msgspec.to_builtins(count))
    return count


def count_program(
    program: Path, arguments: Sequence[str], network: str, engine: str, precision: str, mca_model: str, limit_s: float
) -> Count:
    """Return what any aarch64 Linux program costs between its first two calls of ``sched_yield``.

    Args:
        program: the executable; it may be linked against what `suite.latency.estimate.tools.set_up` unpacked.
        arguments: what it is called with.
        network: how tables call what it runs.
        engine: how tables call what runs it.
        precision: what it computes in, as its owner says; may be empty.
        mca_model: the core, as ``llvm-mca`` names it.
        limit_s: wall seconds after which it is stopped.

    Raises:
        InputError: if the file is absent, the program fails, or it does not call ``sched_yield`` twice.
        NothingMeasuredError: if a tool is missing.
    """
    if not program.is_file():
        raise InputError(f"--program {program}: no such file; check the path")
    what = (network, precision, "program", None, file_digest(program))
    return _count(what, engine, mca_model, find_tools(), [str(program.resolve()), *arguments], limit_s, {})

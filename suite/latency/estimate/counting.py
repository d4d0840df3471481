"""Count what one inference of a network costs on an Arm core, under emulation; each count is made once and cached.

Counts that come with the suite are used as they are. The network runs on ncnn, as on a device: from its ONNX graph, by
ncnn's own converter, with the kernels of ncnn's aarch64 wheel. A count is exact: the same graph, engine and tools give
the same instructions on every machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pandas as pd

from suite.claims.claim import SNAPDRAGON
from suite.claims.loader import load_claims
from suite.errors import InputError
from suite.export.artifact import item_shapes
from suite.files import file_digest, write_json, write_text
from suite.latency.estimate.calibration import Core, Count, load_counts
from suite.latency.estimate.cycles import model_cycles
from suite.latency.estimate.emulation import run_emulated
from suite.latency.estimate.tools import FOLDER, Tools, find_tools
from suite.latency.prepare import prepare_apart
from suite.models import ModelEntry, find_counterparts, get_entry, refuse_known
from suite.paths import runs_dir
from suite.progress import say

ENGINE = "ncnn"
PRECISIONS = ("fp16", "fp32")
PUBLISHED_MODELS = "published"
"""The word for all models that stand for a published latency of the phone."""
INFERENCE = FOLDER / "ncnn_inference.py"
CODE = ("emulation.py", "cycles.py", "ncnn_inference.py", "block_counts.c")
"""Files that decide a count."""
LIMIT_S = 4 * 3600.0
"""Wall seconds after which an emulated inference is stopped; the largest published network takes under an hour."""


def published_models(table: str = "") -> list[ModelEntry]:
    """Return the models that stand for the published latencies of a phone, in the tables' order.

    Only rows of ``table``, e.g. ``"table1"``; all if it is empty.
    """
    standing = find_counterparts()
    rows = [claim.row_id for claim in load_claims() if claim.metric == SNAPDRAGON and claim.row_id.startswith(table)]
    return [get_entry(name) for name in dict.fromkeys(name for row in rows for name in standing.get(row, ()))]


def _instruction_kinds(assembly: str) -> str:
    """Return how many instructions of each kind a block has, the most frequent first, e.g. ``48 fmla, 3 ld1``."""
    kinds = [line.split()[0] for line in assembly.split("; ")]
    counted = sorted({kind: kinds.count(kind) for kind in kinds}.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{number} {kind}" for kind, number in counted)


def _count(
    network: str, engine: str, mca_model: str, tools: Tools, words: Sequence[str], environment: dict[str, str]
) -> Count:
    """Run a program under emulation and model its cycles."""
    cycles = model_cycles(tools, mca_model, run_emulated(tools, words, LIMIT_S, environment))
    return Count(
        network=network,
        engine=engine,
        mca_model=mca_model,
        instructions=cycles.instructions,
        cycles=cycles.cycles,
        covered_share=round(cycles.covered_share, 4),
        blocks=cycles.blocks,
        loop_share=round(cycles.loop_share, 4),
        tools=", ".join(f"{name} {version}" for name, version in sorted(tools.versions.items())),
        hottest=tuple(
            (length, runs, round(share, 4), _instruction_kinds(assembly))
            for length, runs, share, assembly in cycles.hottest
        ),
    )


def count_graph(network: str, graph: Path, span: str, precision: str, mca_model: str) -> Count:
    """Return what one inference of a graph costs on ncnn, counting it unless that was done before.

    Args:
        network: how tables call it.
        graph: the ONNX file; its inputs have fixed shapes of one item each.
        span: what the graph covers.
        precision: ``fp16`` (weights, activations and arithmetic, as TNN computes on ARM by default) or ``fp32``.
        mca_model: the core, as ``llvm-mca`` names it.

    Raises:
        InputError: if the file is absent or not ONNX, its inputs have other shapes, or ncnn cannot take the graph.
        NothingMeasuredError: if a tool is missing.
    """
    from suite.export.runtimes.ncnn_cpu import convert

    shapes = item_shapes(graph)
    sides = ["x".join(str(side) for side in reversed(shape)) for shape in shapes]
    height_px, width_px = shapes[0][1:] if len(shapes[0]) == 3 else (None, None)
    tools = find_tools()
    param = convert(graph)[0]
    sha256 = file_digest(param)  # of the layers and their settings alone: the same for every size of its inputs
    code = [file_digest(FOLDER / name) for name in CODE]
    key = json.dumps([sha256, sides, precision, mca_model, json.dumps(tools.versions, sort_keys=True), *code])
    target = runs_dir() / "estimate" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    own = {"network": network, "span": span, "height_px": height_px, "width_px": width_px}
    with suppress(FileNotFoundError, msgspec.DecodeError):  # what cannot be read is counted again
        return msgspec.structs.replace(msgspec.json.decode(target.read_bytes(), type=Count), **own)
    say(f"estimate: counting {network} {span} in {precision} (minutes)")
    words = [*tools.python, str(INFERENCE), str(param), precision, *sides]
    environment = {"PYTHONHOME": str(tools.root / "usr"), "PYTHONPATH": str(tools.folder / "site")}
    counted = _count(network, ENGINE, mca_model, tools, words, environment)
    count = msgspec.structs.replace(counted, precision=precision, source_sha256=sha256, **own)
    write_json(target, msgspec.to_builtins(count))
    return count


def program_count(
    program: Path, arguments: Sequence[str], network: str, engine: str, precision: str, core: Core
) -> Count:
    """Return what any aarch64 Linux program costs between its first two calls of ``sched_yield``.

    Args:
        program: the executable; it may be linked against what `suite.latency.estimate.tools.set_up` unpacked.
        arguments: what it is called with.
        network: how tables call what it runs; the file's name if empty.
        engine: how tables call what runs it.
        precision: what it computes in, as its owner says; may be empty.
        core: names the core that cycles are modelled for.

    Raises:
        InputError: if the file is absent or fails, its name is a model's, or it lacks two calls of ``sched_yield``.
        NothingMeasuredError: if a tool is missing.
    """
    if not program.is_file():
        raise InputError(f"--program {program}: no such file; check the path")
    network = network or program.stem
    refuse_known(network, f"--program {program}", "give another --name")
    words = [str(program.resolve()), *arguments]
    count = _count(network, engine, core.mca_model, find_tools(), words, {})
    return msgspec.structs.replace(count, precision=precision, span="program", source_sha256=file_digest(program))


def _key(count: Count) -> tuple[str, ...]:
    """Return what a count is of, as text that sorts like the lines of ``counts.csv``."""
    size = ("" if side is None else str(side) for side in (count.height_px, count.width_px))
    return (count.network, count.engine, count.precision, count.span, *size, count.mca_model)


def model_counts(
    names: Sequence[str], precisions: Sequence[str], core: Core, size: tuple[int, int] | None, again: bool
) -> list[Count]:
    """Return the counts of models: those that come with the suite, else counted here with seeded random weights.

    Args:
        names: models of ``suite/models``, or only `PUBLISHED_MODELS`.
        precisions: ``fp16``, ``fp32``.
        core: names the core that cycles are modelled for.
        size: (height_px, width_px); each model's primary size if None.
        again: count here even where a count comes with the suite.

    Returns:
        Counts in the order asked for; of several models, one that ncnn cannot take is left out with a line that says
        why.

    Raises:
        InputError: if a model is unknown, or ncnn takes none of the models.
        NothingMeasuredError: if something has to be counted and a tool is missing.
    """
    if tuple(names) == (PUBLISHED_MODELS,):
        names = [entry.name for entry in published_models()]
    known = {} if again else {_key(count): count for count in load_counts()}
    found: list[Count] = []
    for name in names:
        entry = get_entry(name)
        span, chosen = entry.masks_span, size or entry.input_shapes[0]
        path: Path | None = None
        for precision in precisions:
            key = (name, ENGINE, precision, span, *map(str, chosen), core.mca_model)
            if key in known:
                found.append(known[key])
                continue
            try:
                if path is None:  # one export for all precisions
                    graphs = prepare_apart(name, size=chosen, spans=(span,), runtime="ncnn_cpu").graphs
                    path = graphs["with_masks" if entry.masks_apart else "whole"].path
                found.append(count_graph(name, path, span, precision, core.mca_model))
            except InputError as error:
                if len(names) == 1:
                    raise
                say(f"not counted: {error}")
    if names and not found:
        raise InputError("latency estimate: none of the models can be counted; the lines above say why")
    return found


def update_counts(counts: Sequence[Count], target: Path = FOLDER / "counts.csv") -> None:
    """Put counts made here into ``counts.csv``, in place of those of the same networks and settings."""
    rows = {_key(count): count for count in (*load_counts(), *counts)}
    frame = pd.DataFrame([msgspec.structs.asdict(rows[key]) for key in sorted(rows)], dtype=object)
    write_text(target, frame.drop(columns="hottest").to_csv(index=False, lineterminator="\n"))

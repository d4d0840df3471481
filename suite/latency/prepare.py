"""From a model's name, or anybody's ONNX file, to something that can be timed: weights, exported graphs, spans."""

from __future__ import annotations

import math
import multiprocessing
import re
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onnxruntime import GraphOptimizationLevel

from suite.errors import InputError
from suite.export.artifact import MAX_VALUES, GraphArtifact, input_shapes, read_graph, shown_shapes, write_reference
from suite.export.kept import copy_given, export_kept
from suite.export.runtime import cpu_session, graph_form, prepare_graph, run_within
from suite.latency.spans import REFERENCE_SPANS, SPANS, TimedModel
from suite.models import ModelEntry, build_model, get_entry, refuse_known
from suite.seeds import derive_seed

if TYPE_CHECKING:
    from torch import nn

OWN_SPANS = ("network", "preprocess", "postprocess")
"""What is timed of the reference model unless something else is asked for; of others their `ModelEntry.spans`."""
PARTS = ("whole", "with_masks", "key_frame", "frame")


def _exported(
    entry: ModelEntry, model: nn.Module, size: tuple[int, int], wanted: set[str], folder: Path | None, form: str
) -> dict[str, GraphArtifact]:
    """Export the wanted graphs of a model; video graphs take the size that its pictures are padded to."""
    from reference_model.images import padded_size
    from reference_model.mobileinst import MobileInst
    from suite.export.exporter import Part
    from suite.export.mobileinst import mobileinst_metadata, mobileinst_parts

    metadata, video_size = None, size
    parts = {"whole": Part("whole"), "with_masks": Part("with_masks", "with_masks")}
    if isinstance(model, MobileInst):
        config = model.config
        parts, metadata = mobileinst_parts(config), mobileinst_metadata(config)
        video_size = padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)
    # What is the graph of the whole network under another name.
    same = set() if entry.masks_apart else {"whole", "with_masks"}
    if same & wanted and video_size == size:
        same.add("key_frame")
    made: dict[str, GraphArtifact] = {}
    for part in PARTS:
        name = "whole" if part in same else part
        if part in wanted and name not in made:
            shape = size if name in ("whole", "with_masks") else video_size
            made |= export_kept(entry.name, model, [parts[name]], shape, folder, form, metadata, entry.module)
    return {part: made["whole" if part in same else part] for part in PARTS if part in wanted}


def prepare_model(
    name: str,
    checkpoint: Path | None = None,
    size: tuple[int, int] | None = None,
    spans: Sequence[str] = ("network",),
    key_frame_intervals: Sequence[int] = (1, 3, 6),
    images: Sequence[Path] = (),
    seed: int = 0,
    runtime: str = "onnxruntime_cpu",
    folder: Path | None = None,
    form: str | None = None,
) -> TimedModel:
    """Build or load a model and export what its spans need.

    Args:
        name: a model of ``suite/models``.
        checkpoint: its weights; random ones from ``seed`` if None.
        size: (height_px, width_px) of the image graph; the model's primary size if None. Video graphs always take the
            size that preprocessing pads the model's pictures to.
        spans: keys of `suite.latency.spans.SPANS`; `OWN_SPANS`, or prior art's own, if empty.
        key_frame_intervals: T of the video spans, of `suite.latency.spans.KEY_FRAME_INTERVALS`.
        images: pictures for the spans outside the network; synthetic ones if empty.
        seed: of random weights and synthetic pictures.
        runtime: a module of ``suite/export/runtimes``.
        folder: where exported graphs are kept; ``runs/onnx`` if None.
        form: of `suite.export.rewriting`; the one that the runtime runs best if None.

    Raises:
        InputError: if the name, size or checkpoint is bad, the model has no such span, or it cannot be exported.
    """
    from reference_model.config import config_to_dict
    from reference_model.mobileinst import MobileInst

    entry = get_entry(name)
    model, weights_sha256 = build_model(name, checkpoint, seed)
    spans = tuple(spans) or (OWN_SPANS if isinstance(model, MobileInst) else entry.spans)
    parts = {part for span in spans for part in SPANS[span]}
    chosen_size = size or entry.input_shapes[0]
    config = config_to_dict(model.config) if isinstance(model, MobileInst) else None
    if config is None and set(spans) & set(REFERENCE_SPANS):
        raise InputError(f"{name}: spans {', '.join(REFERENCE_SPANS)} are MobileInst's; leave --spans out for its own")
    exports = _exported(entry, model, chosen_size, parts, folder, form or graph_form(runtime))
    for graph in exports.values():
        prepare_graph(runtime, graph.path)
    return TimedModel(
        name=name,
        graphs=exports,
        spans=spans,
        key_frame_intervals=tuple(key_frame_intervals),
        weights_sha256=weights_sha256,
        config=config,
        images=tuple(images),
        runtime=runtime,
        seed=seed,
        size=chosen_size,
    )


def prepare_apart(name: str, **options: Any) -> TimedModel:
    """Do what `prepare_model` does, with its options, in a fresh process that ends afterwards.

    torch's exporter needs up to 4 GB for a network of 800x1344 px and leaves 1 to 2 GB behind in its process, which a
    run of many models would hold while it times.

    Raises:
        InputError: as `prepare_model` does, or if the system ended the process, as it does when memory runs out.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
        try:
            return executor.submit(prepare_model, name, **options).result()
        except BrokenProcessPool:
            raise InputError(
                f"{name}: the system ended the process that exported it; make sure that 4 GB of memory are free"
            ) from None


def named_files(texts: Sequence[str]) -> dict[str, Path]:
    """Return the files of several ``FILE[:NAME]`` by name, which is the file's without suffix if none is given.

    Raises:
        InputError: if there is no such file, or a name is another's, a known model's or has characters that no record
            takes.
    """
    found: dict[str, Path] = {}
    for text in texts:
        whole, (file, _, name) = Path(text), text.rpartition(":")
        path = whole if whole.is_file() or not file else Path(file)
        name = path.stem if path == whole else name
        if not path.is_file():
            raise InputError(f"--onnx {text}: no such file; give FILE or FILE:NAME")
        if not re.fullmatch(r"[\w.+-]{1,80}", name, re.ASCII):
            raise InputError(f"--onnx {text}: {name!r} is no name of up to 80 letters, digits, . _ + -; give FILE:NAME")
        refuse_known(name, f"--onnx {text}", "give FILE:NAME with another")
        if name in found:
            raise InputError(f"--onnx {text}: {found[name]} has the name {name}; give FILE:NAME with another")
        found[name] = path
    return found


MAX_SIDE_PX = 1 << 15  # of a graph's input


def _image_input(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of a graph's only input."""
    model = read_graph(path)
    shapes = input_shapes(model)
    kinds = [value.type.tensor_type.elem_type for value in model.graph.input if value.name in shapes]
    name, shape = next(iter(shapes.items()), ("", ()))
    fits = all(0 < side <= MAX_SIDE_PX for side in shape) and math.prod(shape) <= MAX_VALUES
    if kinds != [1] or len(shape) != 4 or shape[0] != 1 or not fits:
        wanted = "one fp32 input of fixed shape (1, channels, height, width)"
        raise InputError(f"{path}: its inputs are {shown_shapes(shapes)}; export it with {wanted}")
    return name, shape


def prepare_given(source: Path, name: str, runtime: str, seed: int) -> TimedModel:
    """Copy a graph to ``runs/onnx/given`` with what it computes on one input when nothing is optimised.

    The timed session's outputs are compared with these, so that what an engine makes of the graph is still the graph.

    Args:
        source: the ONNX file.
        name: the one in tables and records.
        runtime: a module of ``suite/export/runtimes``.
        seed: of the inputs.

    Raises:
        InputError: if the file is no ONNX graph of one fp32 image of fixed shape, or cannot be run.
    """
    input_name, shape = _image_input(source)
    graph, digest = copy_given(source, name)
    image = np.random.default_rng(derive_seed(seed, f"given/{name}")).standard_normal(shape, dtype=np.float32)
    session = cpu_session(graph, graph_optimization_level=GraphOptimizationLevel.ORT_DISABLE_ALL)
    named = run_within(session, {input_name: image}, source)
    artifact = GraphArtifact(graph, digest, graph.with_suffix(".npz"))
    write_reference(artifact.reference, {input_name: image}, named)
    prepare_graph(runtime, graph)
    return TimedModel(name, {"whole": artifact}, weights_sha256=digest, runtime=runtime, seed=seed)

"""Anybody's ONNX graph, made ready to be timed beside the suite's models: same rounds, same rules."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime

from suite.errors import InputError
from suite.export.artifact import GraphArtifact, external_files, graph_digest, input_shapes, read_graph, write_reference
from suite.export.runtime import prepare_graph
from suite.export.runtimes.onnxruntime_cpu import PROVIDER
from suite.files import atomic_path
from suite.latency.spans import TimedModel
from suite.paths import runs_dir
from suite.seeds import derive_seed


def file_and_name(text: str) -> tuple[Path, str]:
    """Return file and name of ``FILE[:NAME]``; the name is the file's without suffix if none is given.

    Raises:
        InputError: if there is no such file, or the name has characters that no record takes.
    """
    whole, (file, _, name) = Path(text), text.rpartition(":")
    path = whole if whole.is_file() or not file else Path(file)
    name = path.stem if path == whole else name
    if not path.is_file():
        raise InputError(f"--onnx {text}: no such file; give FILE or FILE:NAME")
    if not re.fullmatch(r"[\w.+-]+", name, re.ASCII):
        raise InputError(f"--onnx {text}: {name!r} is no name of letters, digits and . _ + -; give FILE:NAME")
    return path, name


def _image_input(path: Path) -> tuple[str, tuple[int, ...]]:
    """Return name and shape of a graph's only input."""
    model = read_graph(path)
    shapes = input_shapes(model)
    kinds = [value.type.tensor_type.elem_type for value in model.graph.input if value.name in shapes]
    name, shape = next(iter(shapes.items()), ("", ()))
    if kinds != [1] or len(shape) != 4 or not all(shape) or shape[0] != 1:
        shown = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items()) or "none"
        raise InputError(
            f"{path}: its inputs are {shown}; export it with one fp32 input of fixed shape (1, channels, height, width)"
        )
    return name, shape


def prepare_given(text: str, runtime: str, seed: int) -> TimedModel:
    """Copy a graph to ``runs/onnx/given`` with what it computes on one input when nothing is optimised.

    The timed session's outputs are compared with these, so that what an engine makes of the graph is still the graph.

    Args:
        text: ``FILE`` or ``FILE:NAME``; the name is the one in tables and records.
        runtime: a module of ``suite/export/runtimes``.
        seed: of the inputs.

    Raises:
        InputError: if the file is no ONNX graph of one fp32 image of fixed shape, or cannot be run.
    """
    source, name = file_and_name(text)
    input_name, shape = _image_input(source)
    digest = graph_digest(source)
    folder = runs_dir() / "onnx" / "given" / f"{name}-{digest[:12]}"
    graph = folder / f"{name}.onnx"
    for path, target in [(source.parent / file, folder / file) for file in external_files(read_graph(source))] + [
        (source, graph)
    ]:
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    image = np.random.default_rng(derive_seed(seed, f"given/{name}")).standard_normal(shape, dtype=np.float32)
    try:
        session = onnxruntime.InferenceSession(str(graph), options, providers=[PROVIDER])
        outputs = session.run(None, {input_name: image})
    except Exception as error:  # ONNX Runtime's error classes share no public base
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"{source}: ONNX Runtime cannot run this graph ({last}); export it again") from None
    reference = graph.with_suffix(".npz")
    named = dict(zip((output.name for output in session.get_outputs()), outputs, strict=True))
    write_reference(reference, {input_name: image}, named)
    prepare_graph(runtime, graph)
    artifact = GraphArtifact(graph, digest, reference)
    return TimedModel(name, {"whole": artifact}, weights_sha256=digest, runtime=runtime, seed=seed)

"""Graphs under ``runs/onnx``: those exported, once, by a digest of all that shapes them, and copies of a user's."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, cast

from suite.errors import InputError
from suite.export.artifact import ExportReport, GraphArtifact, external_files, graph_digest, read_graph, write_reference
from suite.files import copy_together, read_json, write_json
from suite.paths import runs_dir
from suite.progress import say

if TYPE_CHECKING:
    from torch import nn

    from suite.export.exporter import Part

LIBRARIES = ("torch", "numpy", "onnx", "onnxscript")
"""Packages whose versions stand for their code."""
SUITE_CODE = ("reference_model.", "suite.models.")
"""How the names of those modules of ours begin whose code shapes the graphs of models."""
OWN_PACKAGES = frozenset({"suite", "reference_model", "torch"})
"""Packages whose code a graph's name covers; a network with a layer of any other is exported anew every time."""
EXPORT_CODE = tuple(f"suite.export.{name}" for name in ("exporter", "rewriting", "graph_editor", "winograd"))
"""Modules whose code shapes every graph."""


def modules_behind(names: Iterable[str]) -> set[str]:
    """Return those of the modules that are our code of models, and all such modules that they take anything from.

    A layer's own module is not enough: a network may also call functions of modules that define no layer.
    """
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name.startswith(SUITE_CODE):
            found.add(name)
            values = list(vars(importlib.import_module(name)).values())
            waiting += [str(getattr(value, "__module__", "")) for value in values]
            waiting += [value.__name__ for value in values if isinstance(value, ModuleType)]
    return found


def code_digest(modules: Iterable[str]) -> str:
    """Return a digest of the code of modules."""
    digest = hashlib.sha256()
    for name in sorted(modules):
        file = getattr(importlib.import_module(name), "__file__", None)
        digest.update(name.encode() + b"\0" + (Path(file).read_bytes() if file else b"") + b"\0")
    return digest.hexdigest()


def _weights_digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _found(path: Path) -> GraphArtifact | None:
    """Return a graph exported earlier, or None where a file is missing or not what it was."""
    reference, note = path.with_suffix(".npz"), path.with_suffix(".json")
    if not (path.is_file() and reference.is_file() and note.is_file()):
        return None
    try:
        values = read_json(note, "export note")
        graph = GraphArtifact(path, values["sha256"], reference, ExportReport(**values["report"]))
        return graph if graph_digest(path) == graph.sha256 else None
    except (InputError, KeyError, TypeError):
        return None


def copy_given(source: Path, name: str) -> tuple[Path, str]:
    """Copy a graph and its weights to ``runs/onnx/given``; return its path there and its digest.

    Args:
        source: the ONNX file.
        name: how tables call it.

    Raises:
        InputError: if a file is missing or not ONNX, or the disk is full.
    """
    digest = graph_digest(source)
    folder = runs_dir() / "onnx" / "given" / f"{name}-{digest[:12]}"
    graph = folder / f"{folder.name}.onnx"  # the digest keeps it, and its reference, apart from files of weights
    beside = {folder / file: source.parent / file for file in external_files(read_graph(source), source)}
    copy_together({**beside, graph: source})
    return graph, digest


def export_kept(
    name: str,
    model: nn.Module,
    parts: Iterable[Part],
    size: tuple[int, int],
    folder: Path | None = None,
    form: str = "portable",
    metadata: Mapping[str, str] | None = None,
    builder: str = "",
) -> dict[str, GraphArtifact]:
    """Export the parts of a model that no earlier run has left; all of them where code of another package makes it.

    What such a package computes may come from any of its files. Beside each graph lies the model's own answer to one
    seeded input, which every timed run compares with.

    Args:
        name: the model's name.
        model: its module with its weights.
        parts: which graphs.
        size: (height_px, width_px) of the image.
        folder: where the files lie; ``runs/onnx`` if None.
        form: of `suite.export.rewriting`, as the runtime runs it best.
        metadata: kept in the graphs.
        builder: the module that builds the model, whose code shapes it as its layers' does; ours if empty.

    Returns:
        The graphs by their parts' names.

    Raises:
        InputError: if the model cannot be exported at this size or fails the exporter's parity check.
    """
    from suite.export.exporter import export_graph
    from suite.export.rewriting import Form

    folder = runs_dir() / "onnx" if folder is None else folder
    versions = [importlib.metadata.version(package) for package in LIBRARIES]
    # How layers are set (a stride, a dilation) changes a graph without changing a weight; the module's text has it all.
    options = f"{name} {form} {json.dumps(dict(metadata or {}), sort_keys=True)} {model!r}"
    modules = {*(type(layer).__module__ for layer in model.modules()), builder or __name__}
    own = {module.partition(".")[0] for module in modules} <= OWN_PACKAGES
    shared = [code_digest({*modules_behind(modules), *EXPORT_CODE}), _weights_digest(model), options, *versions]
    exported = {}
    for part in parts:
        key = hashlib.sha256("\n".join([*shared, repr(part)]).encode()).hexdigest()[:16]
        path = folder / f"{Path(name).name}-{part.name}-{size[0]}x{size[1]}-{key}.onnx"
        found = _found(path) if own else None
        if found is None:
            say(f"export: {name} {part.name} at {size[0]}x{size[1]}")
            export = export_graph(name, model, part, path, size, cast(Form, form), metadata=metadata)
            reference = path.with_suffix(".npz")
            write_reference(reference, export.inputs, export.outputs)
            found = GraphArtifact(path, graph_digest(path), reference, export.report)
            write_json(path.with_suffix(".json"), {"sha256": found.sha256, "report": asdict(export.report)})
        exported[part.name] = found
    return exported

"""Exports a model's graphs for timing, once: files are kept under ``runs/onnx`` by everything that shapes them."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast, get_args

from numpy.typing import NDArray

from suite.errors import InputError
from suite.files import read_json, write_json
from suite.latency.artifact import GraphArtifact, graph_digest, write_reference
from suite.paths import runs_dir
from suite.progress import say

if TYPE_CHECKING:
    from torch import nn

    from reference_model.export import ExportReport
    from reference_model.mobileinst import MobileInst

MODEL_CODE = ("reference_model.", "suite.models.networks", "suite.models.parts")
"""How the names of modules begin whose code shapes a graph of prior art."""


@dataclass(frozen=True)
class ExportedPart:
    """One exported graph with the exporter's own report (operator counts, parity)."""

    artifact: GraphArtifact
    report: ExportReport


def _digest_of(files: Iterable[Path], root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _source_digest() -> str:
    """Return a digest of the reference model's code, so that a changed forward pass is exported anew."""
    import reference_model

    folder = Path(next(iter(reference_model.__path__)))
    return _digest_of(folder.rglob("*.py"), folder)


def modules_behind(names: Iterable[str]) -> set[str]:
    """Return those of the modules that are code of models, and all such modules that they take anything from.

    A layer's own module is not enough: a network may also call functions of modules that define no layer.
    """
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name.startswith(MODEL_CODE) and name not in found:
            found.add(name)
            values = vars(importlib.import_module(name)).values()
            waiting += [str(getattr(value, "__module__", "")) for value in values]
            waiting += [value.__name__ for value in values if isinstance(value, ModuleType)]
    return found


def _network_digest(model: nn.Module) -> str:
    """Return a digest of the code that shapes a graph of prior art: its layers', the shared parts', the exporter's."""
    import suite.models.parts

    rewriting = {f"reference_model.onnx_{part}" for part in ("blocked", "graph", "names", "rewriting", "winograd")}
    exporting = {"reference_model.onnx_translations", *rewriting}
    layers = {type(layer).__module__ for layer in model.modules()}
    ours = modules_behind(layers | exporting | {"suite.models.networks"}) | {f"{__package__}.module_export"}
    found = (importlib.import_module(name).__file__ for name in ours)
    files = {Path(file) for file in found if file}
    files |= set(Path(next(iter(suite.models.parts.__path__))).rglob("*.py"))
    return _digest_of(files, Path(os.path.commonpath(files)))


def _weights_digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _graph_key(code: str, model: nn.Module, options: str, height_px: int, width_px: int) -> str:
    """Return a digest of all that shapes a graph: code, weights, configuration, size, exporter versions."""
    versions = [importlib.metadata.version(package) for package in ("torch", "onnx", "onnxscript")]
    shaping = [code, _weights_digest(model), options, f"{height_px}x{width_px}", *versions]
    return hashlib.sha256("\n".join(shaping).encode()).hexdigest()[:16]


def _kept(path: Path) -> ExportedPart | None:
    """Return a graph exported earlier, or None where a file is missing or not what it was."""
    from reference_model.export import ExportReport

    reference, note = path.with_suffix(".npz"), path.with_suffix(".json")
    if not (path.is_file() and reference.is_file() and note.is_file()):
        return None
    try:
        values = read_json(note, "export note")
        artifact = GraphArtifact(path, values["sha256"], reference)
        return (
            ExportedPart(artifact, ExportReport(**values["report"])) if graph_digest(path) == values["sha256"] else None
        )
    except (InputError, KeyError, TypeError):
        return None


def _keep(
    path: Path, report: ExportReport, inputs: Mapping[str, NDArray[Any]], outputs: Mapping[str, NDArray[Any]]
) -> ExportedPart:
    """Write what proves a fresh graph beside it, and return the part."""
    reference = path.with_suffix(".npz")
    write_reference(reference, inputs, outputs)
    part = ExportedPart(GraphArtifact(path, graph_digest(path), reference), report)
    write_json(path.with_suffix(".json"), {"sha256": part.artifact.sha256, "report": asdict(report)})
    return part


def export_parts(
    model: MobileInst,
    height_px: int,
    width_px: int,
    parts: Sequence[str],
    folder: Path | None = None,
    form: str = "portable",
) -> dict[str, ExportedPart]:
    """Export the parts of a model that are not kept from an earlier run.

    Beside each graph lies the scored model's own answer to one seeded input, which every timed run compares with.

    Args:
        model: the reference model with its weights.
        height_px: height of the input.
        width_px: width of the input.
        parts: of ``whole``, ``key_frame``, ``frame``.
        folder: where to keep the files; ``runs/onnx`` if None.
        form: of `reference_model.onnx_rewriting`, as the runtime runs it best.

    Returns:
        The exported parts by name.

    Raises:
        InputError: if the model cannot be exported at this size or fails the exporter's parity check.
    """
    import torch

    from reference_model.config import config_to_dict
    from reference_model.export import (
        INPUTS,
        OUTPUTS,
        ExportError,
        FrameGraph,
        Part,
        WholeGraph,
        example_inputs,
        export_onnx,
    )
    from reference_model.onnx_rewriting import Form

    folder = runs_dir() / "onnx" if folder is None else folder
    options = json.dumps({"form": form, **config_to_dict(model.config)}, sort_keys=True)
    key = _graph_key(_source_digest(), model, options, height_px, width_px)
    exported = {}
    for part in get_args(Part):
        if part not in parts:
            continue
        path = folder / f"{model.config.name}-{part}-{height_px}x{width_px}-{key}.onnx"
        kept = _kept(path)
        if kept is None:
            say(f"export: {model.config.name} {part} at {height_px}x{width_px}")
            try:
                report = export_onnx(model, path, height_px, width_px, part, form=cast(Form, form))
            except ExportError as error:
                raise InputError(str(error)) from None
            inputs = example_inputs(model, part, height_px, width_px)
            graph = FrameGraph(model) if part == "frame" else WholeGraph(model)
            training = model.training
            graph.eval()
            with torch.no_grad():
                outputs = graph(*inputs)
            model.train(training)
            kept = _keep(
                path,
                report,
                {name: tensor.numpy() for name, tensor in zip(INPUTS[part], inputs, strict=True)},
                {name: tensor.numpy() for name, tensor in zip(OUTPUTS[part], outputs, strict=True)},
            )
        exported[part] = kept
    return exported


def export_methods(
    name: str,
    model: nn.Module,
    height_px: int,
    width_px: int,
    methods: Mapping[str, str],
    folder: Path | None = None,
    form: str = "portable",
) -> dict[str, ExportedPart]:
    """Export graphs of a model of prior art that are not kept from an earlier run; see `export_parts`.

    Args:
        name: the model's name.
        model: its module with its weights.
        height_px: height of the input.
        width_px: width of the input.
        methods: part to the module's method that computes it, e.g. ``{"whole": "forward"}``.
        folder: where to keep the files; ``runs/onnx`` if None.
        form: of `reference_model.onnx_rewriting`, as the runtime runs it best.

    Returns:
        The exported parts by name.

    Raises:
        InputError: if the model cannot be exported at this size or fails the exporter's parity check.
    """
    folder = runs_dir() / "onnx" if folder is None else folder
    # How layers are set (a stride, a dilation) changes a graph without changing a weight; the module's text has it all.
    key = _graph_key(_network_digest(model), model, f"{name} {form} {model!r}", height_px, width_px)
    exported = {}
    for part, method in methods.items():
        path = folder / f"{name}-{part}-{height_px}x{width_px}-{key}.onnx"
        kept = _kept(path)
        if kept is None:
            from suite.latency.module_export import example_image, export_module

            say(f"export: {name} {part} at {height_px}x{width_px}")
            report, outputs = export_module(name, model, method, path, height_px, width_px, form)
            image = example_image(height_px, width_px)
            kept = _keep(
                path,
                report,
                {"image": image.numpy()},
                {output: tensor.numpy() for output, tensor in outputs.items()},
            )
        exported[part] = kept
    return exported

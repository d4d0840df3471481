"""Exports a model's graphs for timing, once: files are kept under ``runs/onnx`` by everything that shapes them."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from suite.errors import InputError
from suite.files import read_json, write_json
from suite.latency.artifact import GraphArtifact, graph_digest, write_reference
from suite.paths import runs_dir
from suite.progress import say

if TYPE_CHECKING:
    from reference_model.export import ExportReport
    from reference_model.mobileinst import MobileInst


@dataclass(frozen=True)
class ExportedPart:
    """One exported graph with the exporter's own report (operator counts, parity)."""

    artifact: GraphArtifact
    report: ExportReport


def _source_digest() -> str:
    """Return a digest of the reference model's code, so that a changed forward pass is exported anew."""
    import reference_model

    folder = Path(next(iter(reference_model.__path__)))
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _graph_key(model: MobileInst, height_px: int, width_px: int) -> str:
    """Return a digest of all that shapes a graph: weights, configuration, size, code, exporter versions."""
    from reference_model.config import config_to_dict

    digest = hashlib.sha256(_source_digest().encode())
    digest.update(json.dumps(config_to_dict(model.config), sort_keys=True).encode())
    digest.update(f"{height_px}x{width_px}".encode())
    for package in ("torch", "onnx", "onnxscript"):
        digest.update(importlib.metadata.version(package).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


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


def export_parts(
    model: MobileInst, height_px: int, width_px: int, parts: Sequence[str], folder: Path | None = None
) -> dict[str, ExportedPart]:
    """Export the parts of a model that are not kept from an earlier run.

    Beside each graph lies the scored model's own answer to one seeded input, which every timed run compares with.

    Args:
        model: the reference model with its weights.
        height_px: height of the input.
        width_px: width of the input.
        parts: of ``whole``, ``key_frame``, ``frame``.
        folder: where to keep the files; ``runs/onnx`` if None.

    Returns:
        The exported parts by name.

    Raises:
        InputError: if the model cannot be exported at this size or fails the exporter's parity check.
    """
    import torch

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

    folder = runs_dir() / "onnx" if folder is None else folder
    key = _graph_key(model, height_px, width_px)
    exported = {}
    for part in get_args(Part):
        if part not in parts:
            continue
        path = folder / f"{model.config.name}-{part}-{height_px}x{width_px}-{key}.onnx"
        kept = _kept(path)
        if kept is None:
            say(f"export: {model.config.name} {part} at {height_px}x{width_px}")
            try:
                report = export_onnx(model, path, height_px, width_px, part)
            except ExportError as error:
                raise InputError(str(error)) from None
            inputs = example_inputs(model, part, height_px, width_px)
            graph = FrameGraph(model) if part == "frame" else WholeGraph(model)
            training = model.training
            graph.eval()
            with torch.no_grad():
                outputs = graph(*inputs)
            model.train(training)
            reference = path.with_suffix(".npz")
            write_reference(
                reference,
                {name: tensor.numpy() for name, tensor in zip(INPUTS[part], inputs, strict=True)},
                {name: tensor.numpy() for name, tensor in zip(OUTPUTS[part], outputs, strict=True)},
            )
            kept = ExportedPart(GraphArtifact(path, graph_digest(path), reference), report)
            write_json(path.with_suffix(".json"), {"sha256": kept.artifact.sha256, "report": asdict(report)})
        exported[part] = kept
    return exported

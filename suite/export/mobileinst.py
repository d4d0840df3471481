"""MobileInst's graphs: an image to everything, and an image with kernels of an earlier frame to masks.

A graph carries the model's configuration in its metadata, so that `suite.export.segmenter` can run it alone. A graph
that a user exports carries all that a program around it needs: classes, normalisation, thresholds, and what it is of.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from reference_model.config import ModelConfig, config_to_dict
from reference_model.images import IMAGE_MEAN, IMAGE_STD, Thresholds
from reference_model.mobileinst import MobileInst
from suite import __version__
from suite.datasets.categories import METADATA_KEY, Categories
from suite.errors import InputError
from suite.export.artifact import largest_difference
from suite.export.exporter import RELATIVE_TOLERANCE, Export, ExportReport, ParityError, Part, export_graph
from suite.files import atomic_path, write_json
from suite.records.provenance import git_state

WHOLE_OUTPUTS = ("class_logits", "objectness_logits", "kernels", "mask_features", "mask_logits")


def mobileinst_parts(config: ModelConfig) -> dict[str, Part]:
    """Return the graphs of a MobileInst by name.

    ``whole`` takes an image to classes, objectness, kernels, mask features and masks. ``key_frame`` is the same graph
    under the name it has in video, where its kernels serve the next frames. ``frame`` takes an image and such kernels
    to masks; the instance decoder is not in it.
    """
    kernels = {"kernels": (1, config.num_queries, config.kernel_dim)}
    parts = (
        Part("whole", outputs=WHOLE_OUTPUTS),
        Part("key_frame", outputs=WHOLE_OUTPUTS),
        Part("frame", "reuse", ("mask_logits",), kernels),
    )
    return {part.name: part for part in parts}


def mobileinst_metadata(config: ModelConfig) -> dict[str, str]:
    """Return what a graph carries of its model."""
    return {"config": json.dumps(config_to_dict(config), sort_keys=True)}


def export_mobileinst(
    model: MobileInst, path: Path, size: tuple[int, int], part: str = "whole", **options: Any
) -> Export:
    """Write one graph of a MobileInst as an ONNX file, at once or not at all.

    Args:
        model: the model; it is not changed.
        path: the file to write.
        size: (height_px, width_px) of the image.
        part: a key of `mobileinst_parts`.
        **options: of `export_graph`: ``form``, ``dynamic``, ``tolerance``, and ``metadata`` instead of the model's own.

    Raises:
        InputError: if there is no such part, or as `export_graph`.
        ParityError: as `export_graph`.
    """
    parts = mobileinst_parts(model.config)
    if part not in parts:
        raise InputError(f"part is {part!r}, must be one of {', '.join(parts)}")
    options.setdefault("metadata", mobileinst_metadata(model.config))
    return export_graph(model.config.name, model, parts[part], path, size, **options)


@dataclass(frozen=True)
class ExportedFiles:
    """What an export wrote.

    Attributes:
        files: the graph; for ncnn structure, weights and metadata.
        report: of the graph; its parity is that of the written format's own runtime.
        metadata: that the files carry.
    """

    files: tuple[Path, ...]
    report: ExportReport
    metadata: dict[str, str]


def deployment_metadata(
    config: ModelConfig, size: tuple[int, int] | None, categories: Categories | None, weights_sha256: str | None
) -> dict[str, str]:
    """Return what a program needs to use a graph without the suite, and what tells which model it is.

    Args:
        config: of the model.
        size: (height_px, width_px) of the graph's input; None where it takes any multiples of 64.
        categories: what the classes stand for; None if that is not known.
        weights_sha256: digest of the checkpoint; None for random weights.
    """
    thresholds = Thresholds()
    sha, dirty = git_state()
    known = {} if categories is None else {METADATA_KEY: categories.text()}
    return (
        mobileinst_metadata(config)
        | known
        | {
            "input_size": "dynamic" if size is None else f"{size[0]}x{size[1]}",
            "short_side_px": str(config.short_side_px),
            "long_side_px": str(config.long_side_px),
            "image_mean": json.dumps(IMAGE_MEAN),
            "image_std": json.dumps(IMAGE_STD),
            "score_threshold": str(thresholds.score),
            "mask_threshold": str(thresholds.mask),
            "weights_sha256": weights_sha256 or "none: random weights",
            "suite_version": __version__,
            "git_sha": f"{sha}{'-dirty' if dirty else ''}",
            "torch": importlib.metadata.version("torch"),
        }
    )


def export_ncnn(
    model: MobileInst, out: Path, size: tuple[int, int], part: str, metadata: Mapping[str, str]
) -> ExportedFiles:
    """Write one graph of a MobileInst as ncnn's two files, with metadata beside them.

    pnnx converts the portable ONNX graph. ncnn then runs the files on the exporter's example, and only files that give
    what PyTorch gives stay.

    Args:
        model: the model; it is not changed.
        out: the structure's file; weights and metadata get its name with ``.bin`` and ``.json`` for the suffix.
        size: (height_px, width_px) of the image.
        part: a key of `mobileinst_parts`.
        metadata: of `deployment_metadata`.

    Raises:
        InputError: if there is no such part, or the graph cannot be exported or converted.
        ParityError: if ncnn's outputs differ from PyTorch's by more than 1e-3 of their largest magnitude.
    """
    from suite.export.runtimes.ncnn_cpu import NcnnSession, convert

    if out.suffix != ".param":
        raise InputError(f"{out}: ncnn's structure file must end in .param; its weights get the same name with .bin")
    with tempfile.TemporaryDirectory() as name:
        graph = Path(name) / "graph.onnx"
        export = export_mobileinst(model, graph, size, part, metadata=metadata)
        converted = convert(graph)
        max_abs, max_rel = largest_difference(NcnnSession(graph, converted).run(export.inputs), export.outputs)
        if not max_rel <= RELATIVE_TOLERANCE:
            raise ParityError(
                f"{out}: ncnn differs from PyTorch by {max_rel:.2e} of the largest output in {part}, more than "
                f"{RELATIVE_TOLERANCE:.0e}; nothing was written"
            )
        targets = (out, out.with_suffix(".bin"))
        for source, target in zip(converted, targets, strict=True):
            with atomic_path(target) as temporary:
                shutil.copyfile(source, temporary)
    note = out.with_suffix(".json")
    blobs = {f"in{place}": name for place, name in enumerate(export.inputs)}
    blobs |= {f"out{place}": name for place, name in enumerate(export.outputs)}
    carried = {"model": model.config.name, "part": part, **metadata}
    write_json(note, {**carried, "blobs": blobs})
    report = replace(export.report, parity_max_abs=max_abs, parity_max_rel=max_rel)
    return ExportedFiles((*targets, note), report, carried)

"""A model as files that run without torch, with all that a program around them needs, and the proof that they do.

The files carry classes, input size, normalisation, thresholds, the digest of the weights and versions.
"""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reference_model.config import ModelConfig
from reference_model.images import IMAGE_MEAN, IMAGE_STD, Thresholds, padded_size
from reference_model.mobileinst import MobileInst
from suite import __version__
from suite.accuracy.segmenter import open_checkpoint
from suite.datasets.categories import METADATA_KEY, Categories
from suite.errors import InputError
from suite.export.artifact import ExportReport, largest_difference
from suite.export.exporter import RELATIVE_TOLERANCE, ParityError
from suite.export.mobileinst import export_mobileinst, mobileinst_metadata
from suite.export.parity import ExportParity, first_pictures, measure_export_parity
from suite.files import atomic_path, file_digest, write_json
from suite.models import build_model
from suite.records.provenance import git_state


@dataclass(frozen=True)
class ExportedFiles:
    """What an export wrote.

    Attributes:
        files: the graph; for ncnn structure, weights and metadata.
        report: of the graph; its parity is that of the written format's own runtime.
        metadata: that the files carry.
        parity: of the graph with the model on pictures, if there are any.
    """

    files: tuple[Path, ...]
    report: ExportReport
    metadata: dict[str, str]
    parity: ExportParity | None = None


def _metadata(
    config: ModelConfig, size: tuple[int, int] | None, categories: Categories | None, weights_sha256: str | None
) -> dict[str, str]:
    """Return what a program needs to use a graph without the suite, and what tells which model it is."""
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


def _export_ncnn(
    model: MobileInst, out: Path, size: tuple[int, int], part: str, metadata: Mapping[str, str]
) -> ExportedFiles:
    """Write one graph of a MobileInst as ncnn's two files, with metadata beside them.

    pnnx converts the portable ONNX graph. ncnn then runs the files on the exporter's example, and only files that give
    what PyTorch gives stay.
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


def own_size(config: ModelConfig) -> tuple[int, int]:
    """Return the (height_px, width_px) that a model's pictures are padded to."""
    return padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)


def export_files(
    out: Path,
    kind: str,
    checkpoint: Path | None = None,
    name: str | None = None,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    part: str = "whole",
    form: str = "portable",
    dynamic: bool = False,
    pictures: tuple[Path, Path, int] | None = None,
) -> ExportedFiles:
    """Write a checkpoint, or a variant with random weights, as files of another runtime.

    Args:
        out: the file to write; for ncnn the structure's.
        kind: ``onnx`` or ``ncnn``.
        checkpoint: weights of a MobileInst.
        name: instead of a checkpoint, a variant.
        seed: of random weights.
        size: (height_px, width_px) of the input; None: as the model's pictures are padded.
        part: ``whole``, ``key_frame`` or ``frame``.
        form: of `suite.export.rewriting`, for ONNX.
        dynamic: leave height and width open, to multiples of 64 (ONNX).
        pictures: annotations, folder and how many pictures to compare graph and model on (ONNX).

    Raises:
        InputError: if the words do not go together, a file is not what it should be, or the graph cannot be written.
        DataError: if a file is absent.
    """
    if (checkpoint is None) == (name is None):
        raise InputError("give either --checkpoint FILE or --model NAME")
    if kind == "ncnn" and (dynamic or pictures or form != "portable"):
        raise InputError("--dynamic, --annotations and --form are for ONNX; leave them out with ncnn")
    if pictures and part == "frame":
        raise InputError("--annotations needs a graph that finds instances; give --part whole")
    if checkpoint is not None:
        model, metadata = open_checkpoint(checkpoint)
        categories, digest = Categories.of_checkpoint(metadata, checkpoint), file_digest(checkpoint)
    else:
        built = build_model(str(name), seed=seed)[0]
        if not isinstance(built, MobileInst):
            raise InputError(f"{name}: is prior art, whose graphs `latency` exports to time them; name a MobileInst")
        model, categories, digest = built, None, None
    chosen = size or own_size(model.config)
    carried = _metadata(model.config, None if dynamic else chosen, categories, digest)
    if kind == "ncnn":
        return _export_ncnn(model, out, chosen, part, carried)
    export = export_mobileinst(model, out, chosen, part, metadata=carried, form=form, dynamic=dynamic)
    parity = None
    if pictures:
        with first_pictures(*pictures) as (dataset, truth, folder):
            parity = measure_export_parity(model, out, dataset, truth, folder)
    return ExportedFiles((out,), export.report, carried, parity)

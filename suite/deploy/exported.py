"""A model as files that run without torch, with all that a program around them needs, and the proof that they do.

The files carry classes, input size, normalisation, thresholds, the digest of the weights and versions.
"""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
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
from suite.export.exporter import RELATIVE_TOLERANCE, ParityError, PartGraph
from suite.export.mobileinst import PaddedReference, export_mobileinst, mobileinst_metadata, mobileinst_parts
from suite.export.parity import ExportParity, compare_engines, first_pictures, measure_export_parity
from suite.export.runtime import graph_form, open_session, prepare_graph
from suite.files import copy_together, file_digest, refuse_foreign, refuse_overwriting, write_json
from suite.models import build_model
from suite.records.provenance import git_state

Size = tuple[int, int]
Pictures = tuple[Path, Path, int]


@dataclass(frozen=True)
class ExportedFiles:
    """What an export wrote.

    Attributes:
        files: the graph; of a converted format its files and the metadata.
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
    return {
        **mobileinst_metadata(config),
        **known,
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


CONVERTED = {
    "ncnn": ("ncnn_cpu", (".param", ".bin"), "in{}", "out{}"),
    "litert": ("litert_cpu", (".tflite",), "args_{}", "output_{}"),
    "executorch": ("executorch_cpu", (".pte",), "input {}", "output {}"),
}
"""Formats made from a graph or its network: runtime, endings of the files, how inputs and outputs are named."""


NOTE_MARK = b'"blobs":{'
"""What every note beside a converted graph holds, by which it is known again."""


def _files(out: Path, kind: str) -> tuple[Path, ...]:
    """Return the files of a format of `CONVERTED`, ``out`` first and the note about them last."""
    beside = out.with_suffix(".json") if kind == "ncnn" else out.with_name(f"{out.name}.json")
    return (*(out.with_suffix(ending) for ending in CONVERTED[kind][1]), beside)


def _export_converted(
    model: MobileInst, out: Path, kind: str, size: Size, part: str, metadata: dict[str, str], pictures: Pictures | None
) -> ExportedFiles:
    """Write one graph of a MobileInst in a format of `CONVERTED`, with metadata beside it.

    The format's own runtime runs what the converter made on the exporter's example, and only files that give what
    PyTorch gives stay.
    """
    runtime, _, input_name, output_name = CONVERTED[kind]
    files = _files(out, kind)
    with tempfile.TemporaryDirectory() as name:
        graph = Path(name) / "graph.onnx"
        export = export_mobileinst(model, graph, size, part, metadata=metadata)
        converted = prepare_graph(runtime, graph, PartGraph(model, mobileinst_parts(model.config)[part]))
        session = open_session(runtime, graph)
        max_abs, max_rel = largest_difference(session.run(export.inputs), export.outputs)
        if not max_rel <= RELATIVE_TOLERANCE:
            off = f"{max_rel:.2e} of the largest output in {part}, more than {RELATIVE_TOLERANCE:.0e}"
            raise ParityError(f"{out}: {kind} differs from PyTorch by {off}; nothing was written")
        parity = None
        if pictures:
            engines = {kind: PaddedReference(model, size, session)}
            with first_pictures(*pictures) as (dataset, truth, folder):
                parity = compare_engines(PaddedReference(model, size), engines, dataset, truth, folder)[kind]
        blobs = {input_name.format(place): name for place, name in enumerate(export.inputs)}
        blobs |= {output_name.format(place): name for place, name in enumerate(export.outputs)}
        carried = {"model": model.config.name, "part": part, **metadata}
        note = Path(name) / "note.json"
        write_json(note, {**carried, "blobs": blobs})
        copy_together(dict(zip(files, (*converted, note), strict=True)))
    report = replace(export.report, parity_max_abs=max_abs, parity_max_rel=max_rel)
    return ExportedFiles(files, report, carried, parity)


def own_size(config: ModelConfig) -> tuple[int, int]:
    """Return the (height_px, width_px) that a model's pictures are padded to."""
    return padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)


def _filled(config: ModelConfig, size: Size) -> ModelConfig:
    """Return the configuration whose pictures fill a graph of a larger input than the model's own."""
    own, asked = sorted(own_size(config)), sorted(size)
    if asked == own or asked[0] < own[0] or asked[1] < own[1]:
        return config
    return replace(config, short_side_px=asked[0], long_side_px=asked[1])


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
    pictures: Pictures | None = None,
) -> ExportedFiles:
    """Write a checkpoint, or a variant with random weights, as files of another runtime.

    Args:
        out: the file to write; for ncnn the structure's.
        kind: ``onnx``, or a key of `CONVERTED`.
        checkpoint: weights of a MobileInst.
        name: instead of a checkpoint, a variant.
        seed: of random weights.
        size: (height_px, width_px) of the input; None: as the model's pictures are padded. Larger than that, pictures
            are resized to fill it.
        part: ``whole``, ``key_frame`` or ``frame``.
        form: of `suite.export.rewriting`, for ONNX.
        dynamic: leave height and width open, to multiples of 64 (ONNX).
        pictures: annotations, folder and how many pictures to compare graph and model on.

    Raises:
        InputError: if the words do not go together, a file is not what it should be, or the graph cannot be written.
        DataError: if a file is absent.
        ModuleNotFoundError: if the format's package is not installed.
    """
    if (checkpoint is None) == (name is None):
        raise InputError("give either --checkpoint FILE or --model NAME")
    if kind in CONVERTED and (dynamic or form != "portable"):
        raise InputError(f"--dynamic and --form are for ONNX; leave them out with {kind}")
    of_others = {ending: other for other, (_, endings, *_) in CONVERTED.items() for ending in endings if other != kind}
    if out.suffix in of_others:
        raise InputError(f"{out}: ends like a file of {of_others[out.suffix]}; name it otherwise or give --format")
    files = _files(out, kind) if kind in CONVERTED else (out.with_suffix(".onnx"),)
    if out != files[0]:
        raise InputError(f"{out}: a file of {kind} must end in {files[0].suffix}; name it {files[0].name}")
    read = [checkpoint, *(pictures[:1] if pictures else ())]
    if pictures and pictures[1].resolve() in out.resolve().parents:
        read.append(out.resolve())  # one of the pictures, if there is such a file
    for path in files:
        refuse_overwriting(path, read)
    refuse_foreign(files[1:], files[-1], NOTE_MARK)
    if kind in CONVERTED:
        graph_form(CONVERTED[kind][0])  # a package that is missing is told before any work
    if pictures and part == "frame":
        raise InputError("--annotations needs a graph that finds instances; give --part whole")
    if checkpoint is not None:
        model, metadata = open_checkpoint(checkpoint)
        categories = Categories.of_checkpoint(metadata, checkpoint, model.config.num_classes)
        digest = file_digest(checkpoint)
    else:
        built = build_model(str(name), seed=seed)[0]
        if not isinstance(built, MobileInst):
            raise InputError(f"{name}: is prior art, whose graphs `latency` exports to time them; name a MobileInst")
        model, categories, digest = built, None, None
    chosen = size or own_size(model.config)
    model.config = _filled(model.config, chosen)
    carried = _metadata(model.config, None if dynamic else chosen, categories, digest)
    if kind in CONVERTED:
        return _export_converted(model, out, kind, chosen, part, carried, pictures)
    export = export_mobileinst(model, out, chosen, part, metadata=carried, form=form, dynamic=dynamic)
    parity = None
    if pictures:
        with first_pictures(*pictures) as (dataset, truth, folder):
            parity = measure_export_parity(model, out, dataset, truth, folder)
    return ExportedFiles((out,), export.report, carried, parity)

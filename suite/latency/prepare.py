"""From a model's name to something that can be timed: weights, exported graphs, spans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import InputError
from suite.files import file_digest
from suite.latency.graphs import ExportedPart, export_parts
from suite.latency.runtime import prepare_graph
from suite.latency.timed_model import SPANS, TimedModel
from suite.models import get_entry

if TYPE_CHECKING:
    from reference_model.mobileinst import MobileInst

IMAGE_PARTS = ("whole",)
VIDEO_PARTS = ("key_frame", "frame")


@dataclass(frozen=True)
class PreparedModel:
    """A model ready to be timed, with the exporter's reports by part (operator counts, parity)."""

    timed: TimedModel
    exports: dict[str, ExportedPart]


def _with_weights(name: str, checkpoint: Path | None, seed: int) -> tuple[MobileInst, str | None]:
    from reference_model.mobileinst import MobileInst
    from reference_model.weights import CheckpointError, load_checkpoint

    if checkpoint is None:
        model = get_entry(name).build(seed)
        if not isinstance(model, MobileInst):
            raise InputError(f"{name}: has no exporter to ONNX; name a variant of MobileInst")
        return model, None
    try:
        loaded, _ = load_checkpoint(checkpoint)
    except CheckpointError as error:
        raise InputError(str(error)) from None
    if loaded.config.name != name:
        raise InputError(f"{checkpoint}: holds {loaded.config.name}, not {name}; name that model or another checkpoint")
    return loaded, file_digest(checkpoint)


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
) -> PreparedModel:
    """Build or load a model and export what its spans need.

    Args:
        name: a model of ``suite/models``.
        checkpoint: its weights; random ones from ``seed`` if None.
        size: (height_px, width_px) of the image graph; the model's primary size if None. Video graphs always take the
            size that preprocessing pads the model's pictures to.
        spans: keys of `suite.latency.timed_model.SPANS`.
        key_frame_intervals: T of the video spans.
        images: pictures for the spans outside the network; synthetic ones if empty.
        seed: of random weights and synthetic pictures.
        runtime: a module of ``suite/latency/runtimes``.
        folder: where exported graphs are kept; ``runs/onnx`` if None.

    Raises:
        InputError: if the name, size, span, checkpoint or picture is bad, or the model cannot be exported.
    """
    from reference_model.config import config_to_dict
    from reference_model.preprocess import padded_size

    entry = get_entry(name)
    for span in spans:
        if span not in SPANS:
            raise InputError(f"{name}: unknown span {span!r}; known: {', '.join(SPANS)}")
    model, weights_sha256 = _with_weights(name, checkpoint, seed)
    parts = {part for span in spans for part in SPANS[span]}
    exports: dict[str, ExportedPart] = {}
    image_parts = [part for part in IMAGE_PARTS if part in parts]
    if image_parts:
        height_px, width_px = size or (entry.input_height_px, entry.input_width_px)
        exports |= export_parts(model, height_px, width_px, image_parts, folder)
    video_parts = [part for part in VIDEO_PARTS if part in parts]
    if video_parts:
        config = model.config
        padded = padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)
        if image_parts and padded == (height_px, width_px):
            # A key frame's graph is the whole graph.
            exports["key_frame"] = exports["whole"]
            video_parts.remove("key_frame")
        exports |= export_parts(model, *padded, video_parts, folder)
    for part in exports.values():
        prepare_graph(runtime, part.artifact.path)
    timed = TimedModel(
        name=name,
        graphs={part: exported.artifact for part, exported in exports.items()},
        spans=tuple(spans),
        key_frame_intervals=tuple(key_frame_intervals),
        weights_sha256=weights_sha256,
        config=config_to_dict(model.config),
        images=tuple(images),
        runtime=runtime,
        seed=seed,
    )
    return PreparedModel(timed, exports)

"""A model to be timed: its graphs, and what the clock is to cover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.errors import InputError
from suite.export.artifact import GraphArtifact

SPANS: dict[str, tuple[str, ...]] = {
    "network": ("whole",),
    "with_masks": ("with_masks",),
    "selection": (),
    "preprocess": ("whole",),
    "postprocess": ("whole",),
    "video_network": ("key_frame", "frame"),
    "video": ("key_frame", "frame"),
}
"""Spans and the graphs they need. ``with_masks`` is the network that goes on to the masks of 100 instances, for methods
whose network stops before; ``selection`` chooses detections from synthetic scores. ``video`` is end to end, per frame:
preprocess, network with kernel reuse, postprocess; ``video_network`` is the network's part of it."""
REFERENCE_SPANS = ("preprocess", "postprocess", "video")
"""Spans that only the reference model has, since they need its configuration."""
KEY_FRAME_INTERVALS = (1, 2, 3, 6)
"""Reuse intervals that divide the timed clip of six frames."""


@dataclass(frozen=True)
class TimedModel:
    """One model to be timed.

    Attributes:
        name: the model's name, as tables show it.
        graphs: exported parts by name: ``whole``, and ``key_frame`` and ``frame`` for videos.
        spans: keys of `SPANS`.
        key_frame_intervals: T of the video spans, of `KEY_FRAME_INTERVALS`.
        weights_sha256: digest of the checkpoint; None for random weights.
        config: the reference model's configuration as plain values, needed by all spans outside the network.
        images: pictures for the spans outside the network; synthetic ones if empty.
        runtime: a module of ``suite/export/runtimes``.
        seed: of synthetic inputs.
        size: (height_px, width_px) of the network's input; needed by ``selection`` alone.
    """

    name: str
    graphs: Mapping[str, GraphArtifact]
    spans: Sequence[str] = ("network",)
    key_frame_intervals: Sequence[int] = (1, 3, 6)
    weights_sha256: str | None = None
    config: Mapping[str, Any] | None = None
    images: Sequence[Path] = ()
    runtime: str = "onnxruntime_cpu"
    seed: int = 0
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be timed.

        Raises:
            InputError: naming the span, interval, graph or image at fault.
        """
        for span in self.spans:
            if span not in SPANS:
                raise InputError(f"{self.name}: unknown span {span!r}; known: {', '.join(SPANS)}")
            for part in SPANS[span]:
                if part not in self.graphs:
                    raise InputError(f"{self.name}: span {span!r} needs the graph {part!r}, which was not exported")
            if span in REFERENCE_SPANS and self.config is None:
                raise InputError(f"{self.name}: span {span!r} is known for the reference model only; time its network")
        for interval in self.key_frame_intervals:
            if interval not in KEY_FRAME_INTERVALS:
                known = ", ".join(map(str, KEY_FRAME_INTERVALS))
                raise InputError(f"{self.name}: key frame interval {interval} does not divide the clip; known: {known}")
        for image in self.images:
            if not image.is_file():
                raise InputError(f"{image}: no such picture; check the path")

"""A model to be timed, and its candidates: one for each span that the clock may cover, made in the measured process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import InputError
from suite.export.artifact import GraphArtifact, output_problems
from suite.export.runtime import Session, open_session
from suite.latency.device import Protocol
from suite.latency.timer import Array, Candidate, fresh_from, stamped
from suite.latency.timing import Labels, Problem
from suite.models import get_entry

if TYPE_CHECKING:
    from torch import Tensor

    from reference_model.images import Geometry

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
REFERENCE_SPANS = ("preprocess", "postprocess", "video_network", "video")
"""Spans that only the reference model has, since they need its configuration or its reuse of kernels."""
KEY_FRAME_INTERVALS = (1, 2, 3, 6)
"""Reuse intervals that divide the timed clip of six frames."""
CLIP_FRAMES = 6
"""Frames of a timed clip: a multiple of every reuse interval, so that per-frame times of all intervals compare."""
SYNTHETIC_SCALE = 0.75
"""Synthetic pictures are this much smaller than the network's input, so that preprocessing really resizes them."""


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


def proof_problems(session: Session, artifact: GraphArtifact, limit: float) -> list[Problem]:
    """Return what shows that a loaded graph is not the scored model in fp32.

    Outputs may be off by ``limit`` of the reference's largest magnitude.
    """
    problems = [Problem("precision_not_fp32", detail) for detail in session.precision_problems()]
    return problems + [Problem("outputs_differ", detail) for detail in output_problems(session, artifact, limit)]


@functools.cache
def network_inputs(shape: tuple[int, ...], seed: int, count: int) -> tuple[NDArray[np.float32], ...]:
    """Return the base inputs of a shape, the same for all graphs that take it; each timed call gets a changed copy."""
    generator = np.random.default_rng(seed)
    images = tuple(generator.standard_normal(shape, dtype=np.float32) for _ in range(count))
    for image in images:
        image.setflags(write=False)
    return images


class Spans:
    """Makes the candidates of one model; the graphs that its spans need are loaded once, and each is checked once.

    Args:
        model: what is timed.
        protocol: says how many different inputs there are, and how far outputs may be off.
    """

    def __init__(self, model: TimedModel, protocol: Protocol) -> None:
        self.model, self.pool = model, protocol.input_pool
        needed = {part for span in model.spans for part in SPANS[span]}
        graphs = {part: graph for part, graph in model.graphs.items() if part in needed}
        paths = dict.fromkeys(graph.path for graph in graphs.values())
        opened = {path: open_session(model.runtime, path) for path in paths}
        self.sessions: dict[str, Session] = {part: opened[graph.path] for part, graph in graphs.items()}
        limit = protocol.rules.max_output_difference
        self._problems = functools.cache(lambda part: proof_problems(self.sessions[part], graphs[part], limit))

    def check(self, *parts: str) -> list[Problem]:
        """Return the precision and output problems of the given parts."""
        return [problem for part in parts for problem in self._problems(part)]

    def size(self, part: str) -> tuple[int, int]:
        """Return height and width in pixels of a part's image, its first input."""
        *_, height, width = next(iter(self.sessions[part].input_shapes().values()))
        return height, width

    def labels(self, span: str, size: tuple[int, int], runtime: str, interval: int | None = None) -> Labels:
        """Return what a candidate's times are the times of."""
        return Labels(self.model.name, span, runtime, "fp32", *size, self.model.weights_sha256, interval)

    def network(self, span: str) -> Candidate:
        """Return the image network, to its own outputs (``network``) or on to masks (``with_masks``)."""
        part = "whole" if span == "network" else span
        session = self.sessions[part]
        engine = session.description()
        name, shape = next(iter(session.input_shapes().items()))
        return Candidate(
            self.labels(span, self.size(part), engine["runtime"]),
            lambda image: session.run({name: image}),
            fresh_from(network_inputs(shape, self.model.seed, self.pool)),
            check=lambda: self.check(part),
            engine=engine,
        )

    def selection(self) -> Candidate:
        """Return the choice of detections from synthetic scores.

        Raises:
            InputError: if the model has none.
        """
        chooser = get_entry(self.model.name).selection
        if chooser is None:
            raise InputError(f"{self.model.name}: span 'selection' is not defined for it; time postprocess")
        assert self.model.size is not None
        chosen = chooser(*self.model.size, self.model.seed)
        return Candidate(
            self.labels("selection", self.model.size, "numpy"),
            chosen.run,
            fresh_from(chosen.score_maps),
            engine={"runtime": "numpy", "version": np.__version__, "covers": chosen.covers},
        )

    def video_network(self, interval: int) -> Candidate:
        """Return the networks of a clip: the key frame graph every ``interval`` frames, else the frame graph."""
        key_frame, frame = self.sessions["key_frame"], self.sessions["frame"]
        images = network_inputs((1, 3, *self.size("key_frame")), self.model.seed, self.pool)

        def run(clip: Sequence[Array]) -> None:
            kernels: Any = None
            for number, image in enumerate(clip):
                if number % interval == 0:
                    kernels = key_frame.run({"image": image})["kernels"]
                else:
                    frame.run({"image": image, "kernels": kernels})

        return self._clip("network", interval, run, images)

    def _clip(self, span: str, interval: int, run: Callable[[Any], Any], frames: Sequence[Array]) -> Candidate:
        """Return a candidate that gets a fresh clip of `CLIP_FRAMES` frames and is timed per frame."""
        engine = self.sessions["key_frame"].description()
        return Candidate(
            self.labels(span, self.size("key_frame"), engine["runtime"], interval),
            run,
            lambda index: [stamped(frames[(index + number) % len(frames)], index) for number in range(CLIP_FRAMES)],
            units=CLIP_FRAMES,
            check=lambda: self.check("key_frame", "frame"),
            engine=engine,
        )


def smooth_image(height_px: int, width_px: int, seed: int) -> NDArray[np.uint8]:
    """Return a seeded RGB picture (height_px, width_px, 3) of large smooth blobs with a little grain.

    Resizing, normalising and a network do the same work on it as on a photograph of that size.
    """
    from PIL import Image

    generator = np.random.default_rng(seed)
    blobs = Image.fromarray(generator.integers(30, 225, size=(6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(blobs.resize((width_px, height_px), Image.Resampling.BILINEAR))
    return np.clip(smooth + generator.normal(0, 4, size=smooth.shape), 0, 255).astype(np.uint8)


class PictureSpans(Spans):
    """Spans outside the network: pictures in, detections out, with the very functions that accuracy is scored with.

    Torch is imported here alone, since timing a network does without it.
    """

    def __init__(self, model: TimedModel, protocol: Protocol) -> None:
        import torch

        from reference_model.config import config_from_dict
        from suite.datasets.pictures import read_picture

        super().__init__(model, protocol)
        assert model.config is not None
        torch.set_num_threads(1)
        self.torch = {"runtime": "torch", "version": str(torch.__version__), "threads": str(torch.get_num_threads())}
        self.config = config_from_dict(model.config)
        if model.images:
            self.pictures: list[NDArray[np.uint8]] = [read_picture(path) for path in model.images]
        else:
            sides = (self.config.short_side_px, self.config.long_side_px)
            height, width = (round(SYNTHETIC_SCALE * side) for side in sides)
            self.pictures = [smooth_image(height, width, model.seed + number) for number in range(self.pool)]

    def _network_input(self, picture: Array, size: tuple[int, int]) -> tuple[Tensor, Geometry]:
        """Preprocess a picture and pad or crop its border of zeros to a graph's size."""
        from torch.nn import functional as F

        from reference_model.images import preprocess

        image, geometry = preprocess(picture, self.config)
        if geometry.resized_height > size[0] or geometry.resized_width > size[1]:
            raise InputError(
                f"{self.config.name}: a picture of {picture.shape[0]}x{picture.shape[1]} px becomes "
                f"{geometry.resized_height}x{geometry.resized_width} px, which the graph of {size[0]}x{size[1]} px "
                "does not take; time at another --size or on other pictures"
            )
        if image.shape[-2:] != size:
            image = F.pad(image, (0, size[1] - image.shape[3], 0, size[0] - image.shape[2])).contiguous()
        return image, geometry

    def preprocess(self) -> Candidate:
        """Return resizing, normalising and padding a picture, labelled with the size that the configuration makes."""
        from reference_model.images import padded_size, preprocess

        config = self.config
        size = padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)
        return Candidate(
            self.labels("preprocess", size, "torch"),
            lambda picture: preprocess(picture, config),
            fresh_from(self.pictures),
            engine=self.torch,
        )

    def postprocess(self) -> Candidate:
        """Return the way from the network's outputs on the pictures to masks at the pictures' size."""
        from reference_model.images import postprocess

        session, size = self.sessions["whole"], self.size("whole")
        ready = []
        for picture in self.pictures:
            image, geometry = self._network_input(picture, size)
            outputs = session.run({"image": image.numpy()})
            ready.append(
                (outputs["class_logits"][0], outputs["objectness_logits"][0], outputs["mask_logits"][0], geometry)
            )

        def fresh(index: int) -> tuple[Array, Array, Array, Geometry]:
            class_logits, objectness_logits, mask_logits, geometry = ready[index % len(ready)]
            return class_logits, objectness_logits, stamped(mask_logits, index), geometry

        return Candidate(
            self.labels("postprocess", size, "torch"),
            lambda value: postprocess(*value),
            fresh,
            check=lambda: self.check("whole"),
            engine=self.torch,
        )

    def video(self, interval: int) -> Candidate:
        """Return a clip end to end: preprocess, networks with kernel reuse and association, postprocess."""
        import torch

        from reference_model.images import postprocess
        from reference_model.tracking import associate

        key_frame, frame = self.sessions["key_frame"], self.sessions["frame"]
        size = self.size("key_frame")

        def run(clip: Sequence[Array]) -> None:
            reused: dict[str, Tensor] = {}
            for number, picture in enumerate(clip):
                image, geometry = self._network_input(picture, size)
                if number % interval == 0:
                    outputs = key_frame.run({"image": image.numpy()})
                    names = ("kernels", "class_logits", "objectness_logits")
                    current = {name: torch.as_tensor(outputs[name][0]) for name in names}
                    masks = torch.as_tensor(outputs["mask_logits"][0])
                    if reused:
                        order = associate(reused["kernels"], current["kernels"])
                        current = {name: values[order] for name, values in current.items()}
                        masks = masks[order]
                    reused = current
                else:
                    outputs = frame.run({"image": image.numpy(), "kernels": reused["kernels"][None].numpy()})
                    masks = torch.as_tensor(outputs["mask_logits"][0])
                postprocess(reused["class_logits"], reused["objectness_logits"], masks, geometry)

        return self._clip("end_to_end", interval, run, self.pictures)


def build_candidates(model: TimedModel, protocol: Protocol) -> list[Candidate]:
    """Load a model's graphs and make its candidates in the order of its spans, video spans once per reuse interval.

    Raises:
        InputError: if a graph or picture is bad, or a span is not defined for the model.
    """
    kind = PictureSpans if set(model.spans) & {"preprocess", "postprocess", "video"} else Spans
    spans = kind(model, protocol)
    candidates: list[Candidate] = []
    for span in model.spans:
        if span in ("network", "with_masks"):
            candidates.append(spans.network(span))
        elif span in ("video_network", "video"):
            candidates += [getattr(spans, span)(interval) for interval in model.key_frame_intervals]
        else:
            candidates.append(getattr(spans, span)())
    return candidates

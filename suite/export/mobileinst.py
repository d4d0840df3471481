"""MobileInst's graphs, written and run as a segmenter: ONNX Runtime runs the network, the rest is the model's own.

An image to everything, and an image with kernels of an earlier frame to masks. A graph carries the model's
configuration in its metadata, so that it can be run alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reference_model.config import ConfigError, ModelConfig, config_from_dict, config_to_dict
from reference_model.images import Detection, postprocess, preprocess, resized_size
from reference_model.instance_decoder import InstancePrediction
from reference_model.mobileinst import FrameFeatures, MaskProduct, MobileInst
from reference_model.tracking import Track
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.datasets.categories import Categories
from suite.errors import InputError
from suite.export.exporter import Export, Part, export_graph
from suite.export.runtime import Session, cpu_session, run_within
from suite.files import file_digest

WHOLE_OUTPUTS = ("class_logits", "objectness_logits", "kernels", "mask_features", "mask_logits")
LOGITS = ("class_logits", "objectness_logits", "mask_logits")


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
    """Write one graph of a MobileInst, a key of `mobileinst_parts`, as an ONNX file, at once or not at all.

    Size is (height_px, width_px) of the image; options are those of `export_graph`: ``form``, ``dynamic``,
    ``tolerance``, and ``metadata`` instead of the model's own.

    Raises:
        InputError: if there is no such part, or as `export_graph`.
        ParityError: as `export_graph`.
    """
    parts = mobileinst_parts(model.config)
    if part not in parts:
        raise InputError(f"part is {part!r}, must be one of {', '.join(parts)}")
    options.setdefault("metadata", mobileinst_metadata(model.config))
    return export_graph(model.config.name, model, parts[part], path, size, **options)


def fitting_config(config: ModelConfig, height: int, width: int, fixed_size: tuple[int, int]) -> ModelConfig:
    """Return the configuration at whose input size a picture fits a graph of fixed input size; all sizes in pixels.

    The configuration's own input size is kept wherever it fits; padding is left to `padded_to`.
    """
    config = replace(config, size_divisor_px=1)
    resized = resized_size(height, width, config.short_side_px, config.long_side_px)
    if all(side <= most for side, most in zip(resized, fixed_size, strict=True)):
        return config
    fitting = int(min(fixed_size[0] / height, fixed_size[1] / width) * min(height, width))
    return replace(config, short_side_px=max(1, min(config.short_side_px, fitting)))


def padded_to(images: Tensor, fixed_size: tuple[int, int]) -> Tensor:
    """Return images (..., H, W) with zeros at the right and the bottom up to a graph's height and width."""
    height, width = (wanted - have for wanted, have in zip(fixed_size, images.shape[-2:], strict=True))
    return nn.functional.pad(images, (0, width, 0, height))


class PaddedReference(ReferenceSegmenter):
    """A MobileInst of `reference_model` that sees images as its graph of fixed input size does.

    Where a graph is compared with its model, only what the export did may differ, and not how far images are padded.

    Args:
        model: the network; is put into evaluation mode.
        fixed_size: height and width of the graph's input, in pixels.
        session: the loaded graph of the whole network, to run it instead of torch.
    """

    def __init__(self, model: MobileInst, fixed_size: tuple[int, int], session: Session | None = None) -> None:
        super().__init__(model, model.config)
        self.fixed_size, self.session = fixed_size, session

    def digest(self) -> str:
        """Return the SHA-256 of configuration, weights, input size and engine."""
        engine = "torch" if self.session is None else self.session.description()
        return hashlib.sha256(f"{super().digest()} {self.fixed_size} {engine}".encode()).hexdigest()

    def logits(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return class, objectness and mask logits of one normalised image (1, 3, H, W) of the graph's size."""
        if self.session is not None:
            found = self.session.run({"image": images.numpy()})
            first, second, third = (torch.from_numpy(found[name][0]) for name in LOGITS)
            return first, second, third
        with torch.inference_mode():
            out = self.model(images)
        return out.class_logits[0], out.objectness_logits[0], out.mask_logits[0]

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the detections of one image."""
        height, width = image.shape[:2]
        config = fitting_config(self.protocol.at_size(self.config), height, width, self.fixed_size)
        pixels, geometry = preprocess(image, config)
        logits = self.logits(padded_to(pixels, self.fixed_size))
        return postprocess(*logits, geometry, self.protocol.thresholds())


class _GraphModel(nn.Module):
    """Looks like a `MobileInst` to the tracker; the whole graph runs on every frame, key frame or not."""

    def __init__(self, segmenter: OnnxSegmenter) -> None:
        super().__init__()
        self.segmenter = [segmenter]
        self.mask_product = MaskProduct()
        self.placed = nn.Parameter(torch.zeros(()), requires_grad=False)

    def encode(self, images: Tensor) -> FrameFeatures:
        """Run the graph; what the decoder made of the same frame waits for `decode`."""
        self.output = self.segmenter[0].run(images)
        nothing = torch.zeros(0)
        return FrameFeatures(self.output["mask_features"], nothing, nothing)

    def decode(self, features: FrameFeatures) -> InstancePrediction:
        """Return the instances of the frame encoded last; the graph puts out neither Q^G nor the embedding."""
        out, nothing = self.output, torch.zeros(1, 0)
        return InstancePrediction(out["class_logits"], out["objectness_logits"], out["kernels"], nothing, nothing)

    def masks(self, kernels: Tensor, mask_features: Tensor) -> Tensor:
        """Return masks of kernels, as the reference model computes them."""
        logits: Tensor = self.mask_product(kernels, mask_features)
        return logits


class OnnxSegmenter:
    """A graph written by this suite's export (the whole network), for images and videos.

    A graph of fixed size takes every image: it is resized to fit where the protocol's size would not, and padded to
    the graph's size, which stands in the protocol as the padding. A graph of dynamic size follows the protocol.

    Args:
        path: the ONNX file.
        threads: of ONNX Runtime; one makes results independent of the machine's load and cores.

    Raises:
        DataError: if the file is absent.
        InputError: if it is not a graph of the whole network with its configuration.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._session = cpu_session(path, threads)
        properties = self._session.get_modelmeta().custom_metadata_map
        try:
            self.config: ModelConfig = config_from_dict(json.loads(properties["config"]))
        except (KeyError, ValueError, TypeError, RecursionError, ConfigError) as error:
            why = f" ({error})" if isinstance(error, ConfigError) else ""
            raise InputError(f"{path}: carries no MobileInst configuration{why}; export it with this suite") from None
        if properties.get("part") not in ("whole", "key_frame"):
            raise InputError(f"{path}: holds the part {properties.get('part')!r}; export the part 'whole'")
        self.protocol = PredictionProtocol.of(self.config)
        self.name, self.num_classes = self.config.name, self.config.num_classes
        said = (self.config.num_queries, self.num_classes)
        made = {output.name: tuple(output.shape[1:]) for output in self._session.get_outputs()}
        if made.get(LOGITS[0]) != said or not made.keys() >= set(WHOLE_OUTPUTS):
            raise InputError(
                f"{path}: says {said} queries and classes, and gives {made.get(LOGITS[0])} and the outputs "
                f"{', '.join(made)}; export it with this suite"
            )
        self.categories = Categories.of_checkpoint(properties, path, self.num_classes)
        taken = [(value.name, len(value.shape)) for value in self._session.get_inputs()]
        if taken != [("image", 4)]:
            raise InputError(f"{path}: takes other inputs than one image; export it with this suite")
        sides = self._session.get_inputs()[0].shape[2:]
        self.fixed_size = (sides[0], sides[1]) if all(isinstance(side, int) for side in sides) else None
        self._tracker_model = _GraphModel(self)

    def digest(self) -> str:
        """Return the SHA-256 of the file."""
        return file_digest(self.path)

    def run(self, images: Tensor) -> dict[str, Tensor]:
        """Run the graph on one normalised image (1, 3, H, W), padded further to a fixed graph's size."""
        if self.fixed_size is not None:
            images = padded_to(images, self.fixed_size)
        outputs = run_within(self._session, {"image": images.numpy()}, self.path)
        queries = (1, self.config.num_queries)
        found = {
            name: (outputs[name].dtype == np.float32, outputs[name].ndim, outputs[name].shape[:2]) for name in LOGITS
        }
        if found != {name: (True, sides, queries) for name, sides in zip(LOGITS, (3, 2, 4), strict=True)}:
            raise InputError(f"{self.path}: gives other outputs than its configuration says; export it with this suite")
        if not outputs["mask_logits"].size or not np.isfinite(outputs["mask_logits"]).all():
            raise InputError(f"{self.path}: gives masks without pixels, or that are no numbers; use another graph")
        return {name: torch.from_numpy(outputs[name]) for name in WHOLE_OUTPUTS}

    def _size_for(self, height: int, width: int) -> ModelConfig:
        """Return the configuration at whose input size an image fits the graph."""
        config = self.protocol.at_size(self.config)
        return config if self.fixed_size is None else fitting_config(config, height, width, self.fixed_size)

    def segment(self, image: NDArray[np.uint8]) -> list[Detection]:
        """Return the detections of one image."""
        pixels, geometry = preprocess(image, self._size_for(*image.shape[:2]))
        out = self.run(pixels)
        classes, objectness, masks = (out[name][0] for name in LOGITS)
        return postprocess(classes, objectness, masks, geometry, self.protocol.thresholds())

    def track(self, frames: Iterable[NDArray[np.uint8]]) -> list[Track]:
        """Return the tracks of one video.

        Raises:
            ValueError: if there is no frame.
        """
        stream = iter(frames)
        first = next(stream, None)
        if first is None:
            raise ValueError("the video has no frames")
        config = self._size_for(*first.shape[:2])
        protocol = replace(self.protocol, short_side_px=config.short_side_px, size_divisor_px=config.size_divisor_px)
        online = protocol.tracker(cast(MobileInst, self._tracker_model), self.config)
        return online.track_video(chain([first], stream), self.protocol.max_tracks)

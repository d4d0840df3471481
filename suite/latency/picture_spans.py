"""The spans outside the network: pictures in, detections out, with the very functions that accuracy is scored with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reference_model.config import config_from_dict
from reference_model.images import Geometry, padded_size, postprocess, preprocess
from reference_model.tracking import associate
from suite.datasets.pictures import read_picture
from suite.errors import InputError
from suite.latency.inputs import Array, fresh_from, smooth_image, stamped
from suite.latency.job import Labels, Timed
from suite.latency.timer import Candidate

if TYPE_CHECKING:
    from suite.latency.spans import Graphs

SYNTHETIC_SCALE = 0.75
"""Synthetic pictures are this much smaller than the network's input, so that preprocessing really resizes them."""


class PictureSpans:
    """Makes the candidates ``preprocess``, ``postprocess`` and ``video`` of one model.

    Args:
        graphs: the model's sessions.
        labels: makes labels of a span, an input size and a reuse interval.
        config: the reference model's configuration as plain values.
        images: picture files, consecutive frames for the video span; synthetic pictures if empty.
        seed: of synthetic pictures.
        pool: number of synthetic pictures.
        clip_frames: frames of a timed clip.
    """

    def __init__(
        self,
        graphs: Graphs,
        labels: Callable[..., Labels],
        config: Mapping[str, Any],
        images: Sequence[str],
        seed: int,
        pool: int,
        clip_frames: int,
    ) -> None:
        torch.set_num_threads(1)
        self.graphs, self.labels, self.clip_frames = graphs, labels, clip_frames
        self.config = config_from_dict(config)
        if images:
            self.pictures: list[NDArray[np.uint8]] = [read_picture(Path(path)) for path in images]
        else:
            height, width = (
                round(SYNTHETIC_SCALE * side) for side in (self.config.short_side_px, self.config.long_side_px)
            )
            self.pictures = [smooth_image(height, width, seed + number) for number in range(pool)]

    def candidates(self, span: str, key_frame_intervals: Sequence[int]) -> list[Timed]:
        """Return the candidates of one span: ``preprocess``, ``postprocess`` or ``video``."""
        if span == "preprocess":
            return [self._preprocess()]
        if span == "postprocess":
            return [self._postprocess()]
        return [self._video(interval) for interval in key_frame_intervals]

    def _engine(self) -> dict[str, str]:
        return {"runtime": "torch", "version": torch.__version__, "threads": str(torch.get_num_threads())}

    def _network_input(self, picture: Array, size: tuple[int, int]) -> tuple[Tensor, Geometry]:
        """Preprocess a picture and pad or crop its border of zeros to a graph's size."""
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

    def _preprocess(self) -> Timed:
        # What preprocessing makes follows from the configuration, whatever size the network is timed at.
        config = self.config
        size = padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)
        label = self.labels("preprocess", size, runtime="torch")
        return Timed(
            labels=label,
            candidate=Candidate(
                label.title, lambda picture: preprocess(picture, self.config), fresh_from(self.pictures)
            ),
            description=self._engine(),
        )

    def _postprocess(self) -> Timed:
        session, size = self.graphs.sessions["whole"], self.graphs.size("whole")
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

        label = self.labels("postprocess", size, runtime="torch")
        return Timed(
            labels=label,
            candidate=Candidate(label.title, lambda value: postprocess(*value), fresh),
            check=lambda: self.graphs.check("whole"),
            description=self._engine(),
        )

    def _video(self, interval: int) -> Timed:
        key_frame, frame = self.graphs.sessions["key_frame"], self.graphs.sessions["frame"]
        size = self.graphs.size("key_frame")

        def run(clip: Sequence[Array]) -> None:
            kept: dict[str, Tensor] = {}
            for number, picture in enumerate(clip):
                image, geometry = self._network_input(picture, size)
                if number % interval == 0:
                    outputs = key_frame.run({"image": image.numpy()})
                    current = {
                        name: torch.as_tensor(outputs[name][0])
                        for name in ("kernels", "class_logits", "objectness_logits")
                    }
                    if kept:
                        order = associate(kept["kernels"], current["kernels"])
                        current = {name: values[order] for name, values in current.items()}
                        masks = torch.as_tensor(outputs["mask_logits"][0])[order]
                    else:
                        masks = torch.as_tensor(outputs["mask_logits"][0])
                    kept = current
                else:
                    reused = frame.run({"image": image.numpy(), "kernels": kept["kernels"][None].numpy()})
                    masks = torch.as_tensor(reused["mask_logits"][0])
                postprocess(kept["class_logits"], kept["objectness_logits"], masks, geometry)

        def fresh_clip(index: int) -> list[Array]:
            return [
                stamped(self.pictures[(index + number) % len(self.pictures)], index)
                for number in range(self.clip_frames)
            ]

        label = self.labels("end_to_end", size, interval)
        return Timed(
            labels=label,
            candidate=Candidate(label.title, run, fresh_clip, units=self.clip_frames),
            check=lambda: self.graphs.check("key_frame", "frame"),
            description=key_frame.description(),
        )

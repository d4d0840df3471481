"""MobileInst's graphs: an image to everything, and an image with kernels of an earlier frame to masks.

A graph carries the model's configuration in its metadata, so that `suite.export.segmenter` can run it alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reference_model.config import ModelConfig, config_to_dict
from reference_model.mobileinst import MobileInst
from suite.errors import InputError
from suite.export.exporter import Export, Part, export_graph

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

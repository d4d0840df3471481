"""Synthetic annotations and results in the official formats, small enough to score by brute force."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

Document = dict[str, Any]
Mask = NDArray[np.bool_]


def compressed(mask: Mask) -> dict[str, Any]:
    encoded = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": encoded["counts"].decode()}


def uncompressed(mask: Mask) -> dict[str, Any]:
    flat = mask.ravel(order="F").astype(np.int8)
    edges = np.flatnonzero(np.diff(flat, prepend=0, append=2))
    counts = np.diff(edges, prepend=0).tolist()
    return {"size": list(mask.shape), "counts": counts}


def rectangle(height: int, width: int, top: int, left: int, rows: int, columns: int) -> Mask:
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + rows, left : left + columns] = True
    return mask


def random_mask(rng: np.random.Generator, height: int, width: int) -> Mask:
    mask = rectangle(
        height,
        width,
        int(rng.integers(0, height)),
        int(rng.integers(0, width)),
        int(rng.integers(0, height + 1)),
        int(rng.integers(0, width + 1)),
    )
    return mask & (rng.random((height, width)) < 0.8) if rng.random() < 0.3 else mask


def shifted(rng: np.random.Generator, mask: Mask) -> Mask:
    return mask if rng.random() < 0.4 else np.roll(mask, tuple(rng.integers(-2, 3, 2)), (0, 1))


def a_score(rng: np.random.Generator) -> float:
    return float(rng.choice([0.1, 0.5, 0.5, 0.9, 0.0, -1.0, rng.random()]))


def random_coco(seed: int) -> tuple[Document, list[Document]]:
    """Return annotations and results with ties, crowds, empty masks, area borders and sometimes > 100 detections."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 40 if rng.random() < 0.7 else 200, 2))
    images = [{"id": int(n), "height": height, "width": width} for n in rng.choice(999, rng.integers(1, 6), False)]
    categories = [{"id": int(n), "name": f"name {n}"} for n in rng.choice(90, rng.integers(1, 5), False)]
    annotations: list[Document] = []
    results: list[Document] = []

    def result(image: Document, category: int, mask: Mask) -> Document:
        encode = compressed if rng.random() < 0.9 else uncompressed
        return {
            "image_id": image["id"],
            "category_id": category,
            "segmentation": encode(mask),
            "score": a_score(rng),
        }

    for image in images:
        for _ in range(rng.integers(0, 8)):
            mask = random_mask(rng, height, width)
            category = int(rng.choice([c["id"] for c in categories]))
            area = float(mask.sum()) if rng.random() < 0.7 else float(rng.choice([1024, 9216, 0, 1e10, 9216.0001]))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "segmentation": (compressed if rng.random() < 0.5 else uncompressed)(mask),
                    "area": area,
                    "iscrowd": int(rng.random() < 0.2),
                }
            )
            results += [result(image, category, shifted(rng, mask)) for _ in range(rng.integers(0, 4))]
        for _ in range(rng.integers(100, 130) if rng.random() < 0.15 else rng.integers(0, 4)):
            category = int(rng.choice([c["id"] for c in categories]))
            results.append(result(image, category, random_mask(rng, height, width)))
    order = rng.permutation(len(results))
    return (
        {"images": images, "categories": categories, "annotations": annotations},
        [results[index] for index in order],
    )


def random_video(seed: int) -> tuple[Document, list[Document]]:
    """Return YouTube-VIS annotations and results with gaps, crowds, ties, area borders and empty tracks."""
    rng = np.random.default_rng(seed)
    categories = [{"id": int(n), "name": f"name {n}"} for n in rng.choice(40, rng.integers(1, 4), False)]
    videos: list[Document] = []
    annotations: list[Document] = []
    results: list[Document] = []

    def frames(masks: list[Mask]) -> list[Any]:
        absent = rng.random(len(masks)) < rng.choice([0.0, 0.3, 1.0], p=[0.5, 0.45, 0.05])
        return [None if gone else compressed(mask) for mask, gone in zip(masks, absent, strict=True)]

    for number in rng.choice(99, rng.integers(1, 5), False):
        height, width, length = (int(side) for side in rng.integers(1, 24, 3))
        videos.append({"id": int(number), "height": height, "width": width, "length": length})
        for _ in range(rng.integers(0, 5)):
            category = int(rng.choice([c["id"] for c in categories]))
            masks = [random_mask(rng, height, width) for _ in range(length)]
            segmentations = frames(masks)
            areas: list[Any] = [
                None if s is None else float(m.sum()) for s, m in zip(segmentations, masks, strict=True)
            ]
            if rng.random() < 0.4:
                border = float(rng.choice([128**2, 256**2, 128**2 + 1, 0]))
                areas = [None if area is None else border for area in areas]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": int(number),
                    "category_id": category,
                    "segmentations": segmentations,
                    "areas": areas,
                    "iscrowd": int(rng.random() < 0.2),
                }
            )
            for _ in range(rng.integers(0, 4)):
                results.append(
                    {
                        "video_id": int(number),
                        "category_id": category
                        if rng.random() < 0.8
                        else int(rng.choice([c["id"] for c in categories])),
                        "segmentations": frames([shifted(rng, mask) for mask in masks]),
                        "score": a_score(rng),
                    }
                )
    order = rng.permutation(len(results))
    return (
        {"videos": videos, "categories": categories, "annotations": annotations},
        [results[index] for index in order],
    )


def written(folder: Path, annotations: Any, results: Any) -> tuple[Path, Path]:
    """Write both documents as JSON and return their paths."""
    paths = folder / "annotations.json", folder / "results.json"
    for path, document in zip(paths, (annotations, results), strict=True):
        path.write_text(json.dumps(document))
    return paths

"""YouTube-VIS AP by definition: pixel arrays and plain loops, nothing of pycocotools' matching or accumulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

RANGES = ((0, 1e10), (0, 128**2), (128**2, 256**2), (256**2, 1e10))
CAPS = (1, 10, 100)
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)


def pixels(segmentation: Any) -> Any:
    return None if segmentation is None else coco_mask.decode(segmentation).astype(bool)


def overlap(one: list[Any], other: list[Any]) -> float:
    inter = union = 0
    for a, b in zip(one, other, strict=True):
        empty = np.zeros((1, 1), bool)
        a_mask, b_mask = (a if a is not None else empty), (b if b is not None else empty)
        if a is None or b is None:
            union += int(a_mask.sum()) + int(b_mask.sum())
        else:
            inter += int((a_mask & b_mask).sum())
            union += int((a_mask | b_mask).sum())
    return inter / union if union else 0.0


def average(areas: list[Any]) -> float:
    kept = [area for area in areas if area]
    return math.fsum(kept) / len(kept) if kept else 0.0


def match_video(
    objects: list[dict[str, Any]], results: list[dict[str, Any]], low: float, high: float, threshold: float
) -> list[str]:
    """Return "hit", "miss" or "ignored" for each result, given highest score first."""
    out = [not low <= item["area"] <= high or bool(item["iscrowd"]) for item in objects]
    taken = [False] * len(objects)
    verdicts = []
    for result in results:
        best: int | None = None
        for wanted_ignored in (False, True):
            best_iou = min(threshold, 1 - 1e-10)
            for index, item in enumerate(objects):
                if out[index] != wanted_ignored or (taken[index] and not item["iscrowd"]):
                    continue
                iou = result["ious"][item["id"]]
                if iou >= best_iou:
                    best, best_iou = index, iou
            if best is not None:
                break
        if best is None:
            verdicts.append("miss" if low <= result["area"] <= high else "ignored")
        else:
            taken[best] = True
            verdicts.append("ignored" if out[best] else "hit")
    return verdicts


def precision_recall(verdicts: list[str], positives: int) -> tuple[list[float], float]:
    hits = misses = 0
    curve = []
    for verdict in verdicts:
        hits += verdict == "hit"
        misses += verdict == "miss"
        curve.append((hits / positives, hits / (hits + misses + np.spacing(1))))
    sampled = [max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]
    return sampled, (curve[-1][0] if curve else 0.0)


def brute_force_video_stats(annotations: dict[str, Any], results: list[dict[str, Any]]) -> list[float]:
    """Return the twelve official numbers of YouTube-VIS."""
    objects = [
        {**item, "masks": [pixels(s) for s in item["segmentations"]], "area": average(item["areas"])}
        for item in annotations["annotations"]
    ]
    found = [{**item, "masks": [pixels(s) for s in item["segmentations"]]} for item in results]
    for item in found:
        item["area"] = average([int(mask.sum()) for mask in item["masks"] if mask is not None])
        item["ious"] = {
            other["id"]: overlap(item["masks"], other["masks"])
            for other in objects
            if other["video_id"] == item["video_id"] and other["category_id"] == item["category_id"]
        }
    precision: dict[tuple[int, int], dict[float, list[float]]] = {}
    recall: dict[tuple[int, int], list[float]] = {}
    for category in annotations["categories"]:
        for area, (low, high) in enumerate(RANGES):
            positives = sum(
                item["category_id"] == category["id"] and not item["iscrowd"] and low <= item["area"] <= high
                for item in objects
            )
            if not positives:
                continue
            for cap in CAPS:
                for threshold in THRESHOLDS:
                    entries: list[tuple[float, str]] = []
                    for video in sorted(item["id"] for item in annotations["videos"]):
                        mine = [o for o in objects if (o["video_id"], o["category_id"]) == (video, category["id"])]
                        here = [r for r in found if (r["video_id"], r["category_id"]) == (video, category["id"])]
                        here = sorted(here, key=lambda result: -result["score"])[:cap]
                        verdicts = match_video(mine, here, low, high, threshold)
                        entries += [(r["score"], verdict) for r, verdict in zip(here, verdicts, strict=True)]
                    entries.sort(key=lambda entry: -entry[0])
                    sampled, last = precision_recall([verdict for _, verdict in entries], positives)
                    precision.setdefault((area, cap), {}).setdefault(threshold, []).extend(sampled)
                    recall.setdefault((area, cap), []).append(last)

    def ap(area: int, *thresholds: float) -> float:
        values = [
            v for t, vs in precision.get((area, 100), {}).items() if not thresholds or t in thresholds for v in vs
        ]
        return float(np.mean(values)) if values else -1.0

    def ar(area: int, cap: int) -> float:
        return float(np.mean(recall[area, cap])) if (area, cap) in recall else -1.0

    return [
        ap(0),
        ap(0, THRESHOLDS[0]),
        ap(0, THRESHOLDS[5]),
        *(ap(area) for area in (1, 2, 3)),
        *(ar(0, cap) for cap in CAPS),
        *(ar(area, 100) for area in (1, 2, 3)),
    ]

"""The error ladder by definition: pixel arrays, one detection at a time, every AP counted again from the start."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from tests.suite.accuracy.brute_force import RECALLS, match_video, overlap, pixels

IMAGE_NAMES = ("classification", "localisation", "both", "duplicate", "background", "missed")
VIDEO_NAMES = (
    "classification",
    "identity_switch",
    "temporal_miss",
    "spatial",
    "both",
    "duplicate",
    "background",
    "missed",
)


def overlap_of(one: list[Any], other: list[Any], frames: list[int]) -> float:
    return overlap([one[i] for i in frames], [other[i] for i in frames])


def track_kind(track: list[Any], own: dict[str, Any], objects: list[dict[str, Any]]) -> str:
    """Return which localisation error a track has, going through its frames one by one."""
    stays, visible = [], []
    for time, mask in enumerate(track):
        ious = {item["id"]: overlap([mask], [item["masks"][time]]) for item in objects}
        best = max(ious.values())
        if best < 0.5 or ious[own["id"]] == best:
            stays.append(time)
        if mask is not None and mask.any() and own["masks"][time] is not None and own["masks"][time].any():
            visible.append(time)
    if len(stays) < len(track) and overlap_of(track, own["masks"], stays) >= 0.5:
        return "identity_switch"
    return "temporal_miss" if overlap_of(track, own["masks"], visible) >= 0.5 else "spatial"


def kind_of(result: dict[str, Any], objects: list[dict[str, Any]], video: bool) -> tuple[str, Any]:
    """Return the name of a false positive's error and the object that it was meant for."""
    own = [item for item in objects if item["category_id"] == result["category_id"]]
    other = [item for item in objects if item["category_id"] != result["category_id"]]

    def best(items: list[dict[str, Any]]) -> tuple[float, Any]:
        return max(((result["all"][item["id"]], item) for item in items), key=lambda pair: pair[0], default=(-1, None))

    if 0.1 <= best(own)[0] <= 0.5:
        target = best(own)[1]
        return (track_kind(result["masks"], target, objects) if video else "localisation"), target
    if best(other)[0] >= 0.5:
        return "classification", best(other)[1]
    if best(own)[0] >= 0.5:
        return "duplicate", None
    return ("background" if max(best(own)[0], best(other)[0]) <= 0.1 else "both"), None


def ap50(entries: list[tuple[float, bool]], objects: int) -> float | None:
    """Return AP of one category from (score, hit) in order; None where nothing is left at all."""
    if objects == 0:
        return 0.0 if entries else None
    hits, curve = 0, []
    for number, (_, hit) in enumerate(entries, start=1):
        hits += hit
        curve.append((hits / objects, hits / number))
    return float(np.mean([max((p for r, p in curve if r >= recall), default=0.0) for recall in RECALLS]))


class BruteForce:
    """The AP50 of a dataset with any kinds of error undone; images count as videos of one frame."""

    def __init__(self, annotations: dict[str, Any], results: list[dict[str, Any]]) -> None:
        self.video = "videos" in annotations
        unit = "video_id" if self.video else "image_id"

        def masks(item: dict[str, Any]) -> list[Any]:
            codes = item["segmentations"] if self.video else [item["segmentation"]]
            return [
                pixels(coco_mask.frPyObjects(code, *code["size"]) if code and type(code["counts"]) is list else code)
                for code in codes
            ]

        def area(item: dict[str, Any]) -> float:
            listed = [a for a in item["areas"] if a] if self.video else [item["area"]]
            return sum(listed) / len(listed) if listed else 0.0

        objects = [{**o, "unit": o[unit], "masks": masks(o), "area": area(o)} for o in annotations["annotations"]]
        self.objects = [{**o, "lost": True} for o in objects]
        found = sorted(
            ({**r, "unit": r[unit], "masks": masks(r), "area": 1} for r in results),
            key=lambda r: (-r["score"], r["unit"]),
        )
        for rank, result in enumerate(found):
            result["rank"] = rank
        self.categories = [category["id"] for category in annotations["categories"]]
        self.kept = []
        for number in {item["unit"] for item in found}:
            here = [o for o in self.objects if o["unit"] == number]
            for category in self.categories:
                mine = [r for r in found if (r["unit"], r["category_id"]) == (number, category)][:100]
                for result in mine:
                    result["all"] = {o["id"]: overlap(result["masks"], o["masks"]) for o in here}
                    result["ious"] = dict(result["all"])
                    self._crowd(result, here)
                self._judge(mine, [o for o in here if o["category_id"] == category], here)
                self.kept += [r for r in mine if r["verdict"] != "ignored"]
        self.kept.sort(key=lambda result: result["rank"])
        self._aim()

    def _crowd(self, result: dict[str, Any], here: list[dict[str, Any]]) -> None:
        for item in here:
            if item["iscrowd"] and not self.video:
                mask = result["masks"][0]
                result["ious"][item["id"]] = (mask & item["masks"][0]).sum() / max(mask.sum(), 1)

    def _judge(self, mine: list[Any], same: list[Any], here: list[Any]) -> None:
        real = [item for item in here if not item["iscrowd"]]
        for result, verdict in zip(mine, match_video(same, mine, 0, 1e10, 0.5), strict=True):
            result["verdict"], result["error"], result["target"] = verdict, "", None
            if verdict == "miss":
                result["error"], result["target"] = kind_of(result, real, self.video)
        hits = sum(result["verdict"] == "hit" for result in mine)
        # Which object a hit took follows from the best free one; only how many are left matters for others.
        free = [item for item in same if not item["iscrowd"] and item["area"] <= 1e10]
        for result in mine:
            if result["verdict"] == "hit":
                able = [item for item in free if result["ious"][item["id"]] >= 0.5]
                best = max(result["ious"][item["id"]] for item in able)
                taken = [item for item in able if result["ious"][item["id"]] == best][-1]
                taken["lost"] = False
                free.remove(taken)
                hits -= 1
        assert hits == 0

    def _aim(self) -> None:
        for item in self.objects:
            item["counted"] = not item["iscrowd"] and item["area"] <= 1e10
            item["lost"] = item["lost"] and item["counted"]
            aimed = [r for r in self.kept if r["target"] is item and item["lost"]]
            for place, result in enumerate(aimed):
                result["becomes"] = item["category_id"] if place == 0 else None
            item["missed"] = item["lost"] and not aimed

    def mean(self, undone: tuple[str, ...], unit: int | None = None) -> float:
        """Return AP50 with kinds of error undone, everywhere or in one image or video."""
        values = []
        for category in self.categories:
            asked = [o for o in self.objects if o["counted"] and o["category_id"] == category]
            if not asked:
                continue
            left = [
                o
                for o in asked
                if unit not in (None, o["unit"])
                or not (("missed" in undone and o["missed"]) or ("false_negatives" in undone and o["lost"]))
            ]
            entries = []
            for result in self.kept:
                fixed = unit in (None, result["unit"]) and result["error"] in undone
                removed = unit in (None, result["unit"]) and result["error"] and "false_positives" in undone
                if fixed and result.get("becomes") == category:
                    entries.append((result["score"], True))
                elif not fixed and not removed and result["category_id"] == category:
                    entries.append((result["score"], result["verdict"] == "hit"))
            value = ap50(entries, len(left))
            values += [] if value is None else [value]
        return float(np.mean(values)) if values else 1.0

"""The intersection over union of tracks: pixels summed over frames, divided once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.youtube_vis_files import TrackMasks

FRAMES_BETWEEN_PRUNINGS = 4

Integers = NDArray[np.int64]


def _padded(rows: Sequence[Integers], frames: int) -> Integers:
    """Stack rows of several lengths, cut or filled with 0 to ``frames``."""
    table = np.zeros((len(rows), frames), np.int64)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row[:frames]
    return table


def _one_size(tracks: Sequence[TrackMasks]) -> bool:
    """Tell whether every mask of these tracks has the same height and width."""
    places = np.concatenate([track.places for track in tracks])
    codes, places = tracks[0].codes, places[places >= 0]
    heights, widths = codes.heights[places], codes.widths[places]
    return bool((heights == heights[:1]).all() and (widths == widths[:1]).all())


def _frame(tracks: Sequence[TrackMasks], present: Sequence[int], time: int) -> list[dict[str, Any]]:
    """Return the codes of some tracks in one frame as pycocotools takes them."""
    codes = tracks[0].codes
    places = [int(tracks[index].places[time]) for index in present]
    sizes = zip(codes.heights[places].tolist(), codes.widths[places].tolist(), strict=True)
    return [{"size": size, "counts": codes.counts[place]} for size, place in zip(sizes, places, strict=True)]


def _differ(painted: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> NDArray[np.bool_]:
    """Return which pairs of masks have different sizes, shape (len(painted), len(wanted))."""
    sizes = [np.array([code["size"] for code in codes]) for codes in (painted, wanted)]
    different: NDArray[np.bool_] = (sizes[0][:, None] != sizes[1][None]).any(axis=-1)
    return different


def track_iou(
    results: Sequence[TrackMasks], annotated: Sequence[TrackMasks], at_least: float = 0.0
) -> NDArray[np.float64]:
    """Return the intersection over union of every result with every annotated track of one video and category.

    Where one track ends before the other, the rest of the longer one counts nowhere, and masks of two sizes add
    nothing; both happen only under the official quirks.

    Args:
        results: D > 0 tracks of one file.
        annotated: G > 0 tracks of one file.
        at_least: pairs that cannot reach this are given up on the way, and get some value below it.

    Returns:
        Shape (D, G), each the float64 quotient of two exact pixel counts; 0 where both are empty.
    """
    lengths = [np.array([len(track.places) for track in tracks]) for tracks in (results, annotated)]
    frames = int(min(length.max() for length in lengths))
    shorter = np.minimum(np.minimum(lengths[0][:, None], lengths[1][None, :]), frames)
    painted_px, wanted_px = (_padded([track.areas_px for track in tracks], frames) for tracks in (results, annotated))
    up_to = [np.cumsum(np.pad(areas, ((0, 0), (1, 0))), axis=1) for areas in (painted_px, wanted_px)]
    covered = np.take_along_axis(up_to[0], shorter, axis=1) + np.take_along_axis(up_to[1], shorter.T, axis=1).T
    # At best, the smaller mask of each pair lies inside the larger one in all frames to come.
    at_best = np.minimum(painted_px[:, None, :], wanted_px[None, :, :])
    to_come = at_best.sum(axis=2)
    plain = _one_size(results) and _one_size(annotated)
    shared = np.zeros((len(results), len(annotated)), np.int64)
    alive = np.ones(shared.shape, np.bool_)
    for time in range(frames):
        if plain and time % FRAMES_BETWEEN_PRUNINGS == 0:
            most = shared + to_come
            alive = most >= (at_least - 1e-9) * (covered - most)
        to_come -= at_best[:, :, time]
        rows = np.flatnonzero(painted_px[:, time] * alive.any(axis=1)).tolist()
        columns = np.flatnonzero(wanted_px[:, time] * alive.any(axis=0)).tolist()
        if not rows or not columns:
            continue
        painted, wanted = _frame(results, rows, time), _frame(annotated, columns, time)
        overlap = coco_mask.iou(painted, wanted, [0] * len(wanted))
        both = painted_px[rows, time][:, None] + wanted_px[columns, time][None, :]
        pairs = np.ix_(rows, columns)
        if not plain or painted[0]["size"] != wanted[0]["size"]:
            foreign = _differ(painted, wanted)
            overlap[foreign] = 0
            covered[pairs] -= both * foreign
        # The quotient determines both whole numbers: i / (a + b - i) = o  <=>  i = o (a + b) / (1 + o).
        shared[pairs] += np.rint(overlap * both / (1 + overlap)).astype(np.int64)
    union = covered - shared
    quotient: NDArray[np.float64] = np.divide(shared, union, out=np.zeros(union.shape), where=union > 0)
    return quotient

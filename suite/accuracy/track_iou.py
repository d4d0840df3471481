"""The intersection over union of tracks: pixels summed over frames, divided once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hotcoco import mask as hotcoco_mask

from suite.accuracy.matches import Floats, Integers
from suite.datasets.masks import TrackMasks

FRAMES_PER_BLOCK = 2
"""After each block, pairs that cannot reach the lowest threshold any more are given up."""


def _padded(rows: Sequence[Integers], frames: int, filling: int) -> Integers:
    """Stack rows of several lengths, cut or filled to ``frames``."""
    table = np.full((len(rows), frames), filling, np.int64)
    for index, row in enumerate(rows):
        table[index, : len(row)] = row[:frames]
    return table


class _Side:
    """The tracks of one side, their pixel counts and code places as tables of shape (tracks, frames)."""

    def __init__(self, tracks: Sequence[TrackMasks], frames: int) -> None:
        self.codes = tracks[0].codes
        self.areas_px = _padded([track.areas_px for track in tracks], frames, 0)
        self.places = _padded([track.places for track in tracks], frames, -1)
        kinds = np.unique(self.codes.frame[self.places[self.places >= 0]]).tolist()
        self.sizes = {tuple(self.codes.frames[kind]) for kind in kinds}


def _common(painted: _Side, wanted: _Side, rows: Integers, columns: Integers, time: int) -> tuple[Integers, Integers]:
    """Return common pixels of tracks that are present in a frame, and the pixels that count nowhere, (D, G) each.

    Masks of two sizes have nothing in common, and all their pixels count nowhere.
    """
    masks = painted.codes.rles(painted.places[rows, time]), wanted.codes.rles(wanted.places[columns, time])
    overlap = hotcoco_mask.iou(*masks, [0] * len(columns))
    both = painted.areas_px[rows, time][:, None] + wanted.areas_px[columns, time]
    # The IoU of two sizes is -1. Otherwise it determines both whole numbers: i / (a + b - i) = o  <=>  i = o (a + b) /
    # (1 + o).
    lost = np.where(overlap < 0, both, 0)
    overlap = np.maximum(overlap, 0)
    return np.rint(overlap * both / (1 + overlap)).astype(np.int64), lost


def track_iou(results: Sequence[TrackMasks], annotated: Sequence[TrackMasks], at_least: float = 0.0) -> Floats:
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
    painted, wanted = _Side(results, frames), _Side(annotated, frames)
    up_to = [np.cumsum(np.pad(side.areas_px, ((0, 0), (1, 0))), axis=1) for side in (painted, wanted)]
    covered = np.take_along_axis(up_to[0], shorter, axis=1) + np.take_along_axis(up_to[1], shorter.T, axis=1).T
    # At best, the smaller mask of each pair lies inside the larger one in all frames to come. The frames with most to
    # share come first, so that a pair without a chance shows early.
    at_best = np.minimum(painted.areas_px.T[:, :, None], wanted.areas_px.T[:, None, :])
    order = np.argsort(-at_best.sum(axis=(1, 2)), kind="stable")
    to_come = np.append(np.cumsum(at_best[order][::-1], axis=0)[::-1], np.zeros((1, *covered.shape), np.int64), axis=0)
    plain = len(painted.sizes | wanted.sizes) < 2
    shared = np.zeros(covered.shape, np.int64)
    alive = np.ones(covered.shape, np.bool_)
    for start in range(0, frames, FRAMES_PER_BLOCK):
        if plain:
            most = shared + to_come[start]
            alive = most >= (at_least - 1e-9) * (covered - most)
        if not alive.any():
            break
        rows_alive, columns_alive = alive.any(axis=1), alive.any(axis=0)
        for time in order[start : start + FRAMES_PER_BLOCK].tolist():
            rows = np.flatnonzero(painted.areas_px[:, time] * rows_alive)
            columns = np.flatnonzero(wanted.areas_px[:, time] * columns_alive)
            if not len(rows) or not len(columns):
                continue
            pairs = np.ix_(rows, columns)
            common, lost = _common(painted, wanted, rows, columns, time)
            shared[pairs] += common
            covered[pairs] -= lost
    union = covered - shared
    quotient: Floats = np.divide(shared, union, out=np.zeros(union.shape), where=union > 0)
    return quotient


def frame_overlaps(results: Sequence[TrackMasks], annotated: Sequence[TrackMasks]) -> Integers:
    """Return the pixels that every result has in common with every annotated track, frame by frame.

    Args:
        results: D > 0 tracks of one file and of one video, all masks of one size.
        annotated: G > 0 tracks of that video.

    Returns:
        Shape (T, D, G).
    """
    frames = len(results[0].places)
    painted, wanted = _Side(results, frames), _Side(annotated, frames)
    shared = np.zeros((frames, len(results), len(annotated)), np.int64)
    for time in range(frames):
        rows, columns = np.flatnonzero(painted.areas_px[:, time]), np.flatnonzero(wanted.areas_px[:, time])
        if len(rows) and len(columns):
            shared[time][np.ix_(rows, columns)] = _common(painted, wanted, rows, columns, time)[0]
    return shared

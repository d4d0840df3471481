"""HOTA and IDF1 of tracks, computed by TrackEval from the masks that video AP is computed from.

Video AP ranks whole tracks by score. HOTA (Luiten et al., IJCV 2021) and IDF1 (Ristani et al., 2016) judge frame by
frame how well objects are found and how long each keeps one track, and rank nothing, so that results below a score are
left out first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from suite.accuracy.track_iou import frame_overlaps
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset

NUMBERS = {"HOTA": "HOTA", "DetA": "HOTA", "AssA": "HOTA", "IDF1": "Identity", "IDP": "Identity", "IDR": "Identity"}
"""Name of a number -> TrackEval's metric that it belongs to. HOTA, DetA and AssA are means over IoU 0.05 to 0.95."""


def _sequence(objects: Sequence[MaskedTrack], results: Sequence[MaskedTrack]) -> dict[str, Any]:
    """Return one video's objects and results of one class, at least one of them, as TrackEval's metrics take them.

    A track is in a frame if it has pixels there; each has some somewhere.
    """
    frames = len([*objects, *results][0].masks.places)
    areas = [np.array([track.masks.areas_px for track in side]).reshape(-1, frames) for side in (objects, results)]
    there = [[np.flatnonzero(side[:, time]) for time in range(frames)] for side in areas]
    shared = np.zeros((frames, len(results), len(objects)), np.int64)
    if objects and results:
        shared = frame_overlaps([track.masks for track in results], [track.masks for track in objects])
    similarity = []
    for time, (rows, columns) in enumerate(zip(*there, strict=True)):
        common = shared[time].T[np.ix_(rows, columns)]
        similarity.append(common / (areas[0][rows, time][:, None] + areas[1][columns, time] - common))
    names = ("gt", "tracker")
    return {
        "num_timesteps": frames,
        "similarity_scores": similarity,
        **{f"{name}_ids": ids for name, ids in zip(names, there, strict=True)},
        **{f"num_{name}_ids": len(side) for name, side in zip(names, areas, strict=True)},
        **{f"num_{name}_dets": int(np.count_nonzero(side)) for name, side in zip(names, areas, strict=True)},
    }


def tracking_numbers(
    dataset: YoutubeVisDataset, results: Sequence[MaskedTrack], min_score: float
) -> dict[str, dict[str, float]]:
    """Return `NUMBERS` twice, each in [0, 1]; -1 where no object is to be seen.

    ``class_averaged`` is the mean over classes with annotated objects, as in AP; ``detection_averaged`` pools the
    detections of all classes. Crowd objects are objects like others, as in TrackEval's own YouTube-VIS evaluation.

    Args:
        dataset: the ground truth, read without the official quirks.
        results: of its videos.
        min_score: results below it are left out.

    Raises:
        ModuleNotFoundError: if trackeval is not installed.
    """
    from trackeval.metrics import HOTA, Identity

    metrics: dict[str, Any] = {"HOTA": HOTA(), "Identity": Identity({"PRINT_CONFIG": False})}
    found: dict[tuple[int, int], tuple[list[MaskedTrack], list[MaskedTrack]]] = defaultdict(lambda: ([], []))
    counting = [track for track in results if track.score >= min_score]
    for side, tracks in enumerate((dataset.masked_tracks, counting)):
        for track in tracks:
            if track.masks.areas_px.any():
                found[track.class_index, dataset.places[track.video_id]][side].append(track)
    sequences: dict[int, dict[int, dict[str, Any]]] = defaultdict(dict)
    for (class_index, video), sides in found.items():
        sequences[class_index][video] = _sequence(*sides)
    annotated = {class_index for (class_index, _), (objects, _) in found.items() if objects}
    means: dict[str, dict[str, float]] = {"class_averaged": {}, "detection_averaged": {}}
    for name, metric in metrics.items():
        of_class = {
            class_index: metric.combine_sequences({key: metric.eval_sequence(data) for key, data in videos.items()})
            for class_index, videos in sequences.items()
        }
        averaged = (
            metric.combine_classes_class_averaged({key: of_class[key] for key in annotated}) if annotated else None,
            metric.combine_classes_det_averaged(of_class) if annotated else None,
        )
        for kind, values in zip(means, averaged, strict=True):
            own = [number for number, its_metric in NUMBERS.items() if its_metric == name]
            means[kind] |= {number: float(np.mean(values[number])) if values else -1.0 for number in own}
    return means

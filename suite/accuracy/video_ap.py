"""YouTube-VIS AP of a results file: COCO's matching and accumulation over tracks instead of masks.

Only three things differ from COCO: the unit is a track in a video, the intersection over union of two tracks is that of
their masks summed over frames (crowd tracks included), and the area of a track is a mean over frames with other limits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from suite.accuracy.hota import tracking_numbers
from suite.accuracy.intervals import bootstrap, with_difference
from suite.accuracy.matches import (
    THRESHOLDS,
    Floats,
    Instances,
    Integers,
    Matches,
    Pairs,
    accumulate,
    find_pairs,
    match,
)
from suite.accuracy.score import Score, per_category, summarize
from suite.accuracy.track_iou import track_iou
from suite.datasets.categories import Id
from suite.datasets.masks import collection_paused
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset, read_tracks
from suite.errors import InputError

AREA_RANGES_PX = ((0, 1e10), (0, 128**2), (128**2, 256**2), (256**2, 1e10))
"""All, small, medium, large."""
ZERO_ID_NOTE = (
    "annotation id 0 is matched here; the official evaluator counts every match with it as a false positive "
    "(--official-quirks does the same)"
)


def track_pairs(
    dataset: YoutubeVisDataset,
    annotated: Sequence[MaskedTrack],
    results: Sequence[MaskedTrack],
    at_least: float = THRESHOLDS[0],
    across: bool = False,
) -> tuple[tuple[int, int], Instances, Instances, Pairs]:
    """Return numbers of videos and categories, the results that count, the objects, and which of them overlap.

    ``at_least`` and ``across`` are those of `find_pairs`.
    """
    ranks = {key: rank for rank, key in enumerate(sorted(dataset.places))}
    asked, found = (
        Instances.of(
            np.array([ranks[track.video_id] for track in tracks], np.int64),
            np.array([track.class_index for track in tracks], np.int64),
            np.array([track.area for track in tracks], np.float64),
            np.array([track.score for track in tracks], np.float64),
            np.array([track.crowd for track in tracks], np.bool_),
        )
        for tracks in (annotated, results)
    )
    found = found.counting()

    def iou(rows: Integers, columns: Integers) -> Floats:
        painted = [results[place].masks for place in found.place[rows].tolist()]
        return track_iou(painted, [annotated[place].masks for place in columns.tolist()], at_least)

    size = len(dataset.videos), len(dataset.categories)
    return size, found, asked, find_pairs(found, asked, iou, at_least, across)


def match_tracks(dataset: YoutubeVisDataset, results: Sequence[MaskedTrack]) -> Matches:
    """Match tracks that were read and checked already; see `score_youtube_vis`."""
    annotated: Sequence[MaskedTrack] = dataset.masked_tracks
    void = None
    if dataset.official_quirks:
        # The official code takes tracks by video, each replaced by the last that shares its id, and id 0 for no match.
        by_id = {track.track_id: track for track in annotated}
        annotated = [by_id[track.track_id] for track in sorted(annotated, key=lambda track: track.video_id)]
        void = np.array([track.track_id == 0 for track in annotated], np.bool_)
    return match(*track_pairs(dataset, annotated, results), AREA_RANGES_PX, void=void)


def evaluate_youtube_vis(
    dataset: YoutubeVisDataset,
    tracks: Sequence[MaskedTrack],
    video_ids: Collection[Id] | None = None,
    hota_min_score: float | None = None,
) -> tuple[Score, Matches]:
    """Score results against ground truth, both read already; see `score_youtube_vis`."""
    read = len(tracks)
    if video_ids is not None:
        dataset = dataset.only(video_ids, "scored")
        tracks = [track for track in tracks if track.video_id in dataset.places]
    matches = match_tracks(dataset, tracks)
    curves = accumulate(matches)
    notes = ["scored with the official evaluator's quirks"] if dataset.official_quirks else []
    if not dataset.official_quirks and any(track.track_id == 0 for track in dataset.tracks):
        notes.append(ZERO_ID_NOTE)
    if missing := sum(track.areas is None for track in dataset.tracks):
        notes.append(f"{missing} tracks have no areas in the annotations; those of their masks were taken")
    if len(tracks) < read:
        notes.append(f"{read - len(tracks)} results of other videos than the {len(dataset.videos)} were left out")
    score = Score(
        task="youtube-vis",
        engine="suite",
        stats=summarize(curves),
        per_category=per_category(curves, dataset.categories),
        counts={
            "videos": len(dataset.videos),
            "annotations": len(dataset.tracks),
            "results": len(tracks),
        },
        notes=tuple(notes),
        tracking={} if hota_min_score is None else tracking_numbers(dataset, tracks, hota_min_score),
        hota_min_score=hota_min_score,
    )
    return score, matches


@collection_paused()
def score_youtube_vis(
    annotations: Path,
    results: Path,
    official_quirks: bool = False,
    resamples: int = 0,
    seed: int = 0,
    against: Path | None = None,
    video_ids: Collection[Id] | None = None,
    hota_min_score: float | None = None,
) -> Score:
    """Score a YouTube-VIS results file with the semantics of the official evaluator (youtubevos/cocoapi, 2019).

    Args:
        annotations: YouTube-VIS annotations with ground truth, ``.json`` or ``.json.gz``.
        results: a list of ``{video_id, category_id, score, segmentations}``, one mask or null per frame.
        official_quirks: also repeat what the official code gets silently wrong: ragged tracks are cut, masks of
            another size vanish, unknown categories are dropped, duplicate ids replace each other, matches with
            annotation id 0 count as false positives. Without it these are errors (id 0 is matched properly).
        resamples: number of bootstrap draws of the videos, for intervals as of `suite.accuracy.mask_ap.score_coco`.
        seed: base seed of the draws.
        against: another model's results file, likewise.
        video_ids: score only these videos; results of others are left out.
        hota_min_score: also give HOTA and IDF1 (`suite.accuracy.hota`) of the results that score as much; None leaves
            them out.

    Returns:
        The twelve official numbers, over all categories and for each; an empty results list scores 0.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever is wrong in any file; if HOTA is asked for with the quirks.
        ModuleNotFoundError: if HOTA is asked for and trackeval is not installed.
    """
    if official_quirks and hota_min_score is not None:
        raise InputError("--hota takes no part in the official quirks; leave out --official-quirks")
    dataset = YoutubeVisDataset.load(annotations, official_quirks=official_quirks).require_truth()
    files = [results] if against is None else [results, against]
    scored = [evaluate_youtube_vis(dataset, read_tracks(path, dataset), video_ids, hota_min_score) for path in files]
    drawn = None
    if resamples:
        drawn = bootstrap([matches for _, matches in scored], "videos", resamples, seed)
    return with_difference([score for score, _ in scored], drawn)

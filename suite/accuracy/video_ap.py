"""YouTube-VIS AP of a results file: COCOeval's matching and accumulation over tracks instead of masks.

Only three things differ from COCO: the unit is a track in a video, the intersection over union of two tracks is that of
their masks summed over frames (crowd tracks included), and the area of a track is a mean over frames with other limits.
"""

from __future__ import annotations

import contextlib
import io
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval

from suite.accuracy.intervals import bootstrap, with_difference
from suite.accuracy.mask_engines import matches_of
from suite.accuracy.score import Curves, Score, per_category, summarize
from suite.accuracy.track_iou import track_iou
from suite.datasets.categories import Id
from suite.datasets.masks import collection_paused
from suite.datasets.youtube_vis import MaskedTrack, YoutubeVisDataset, read_tracks

AREA_RANGES_PX: list[list[float]] = [[0, 1e10], [0, 128**2], [128**2, 256**2], [256**2, 1e10]]
ZERO_ID_NOTE = (
    "annotation id 0 is matched here; the official evaluator counts every match with it as a false positive "
    "(--official-quirks does the same)"
)


@dataclass(frozen=True)
class _Ranked:
    """The results of one video and category that count, by falling score; ``able`` are those that can match."""

    ids: list[int]
    scores: list[float]
    areas: NDArray[np.float64]
    able: NDArray[np.int64]


NOTHING = _Ranked([], [], np.zeros(0), np.zeros(0, np.int64))


class VideoEval(COCOeval):  # type: ignore[misc]
    """COCOeval over tracks: grouping, areas and the intersection over union are its own, the rest is inherited.

    Args:
        annotated: the ground truth, each track with the number by which COCOeval names it; 0 counts as unmatched.
        results: to score.
        dataset: its videos and categories are scored.
    """

    def __init__(
        self,
        annotated: Sequence[tuple[int, MaskedTrack]],
        results: Sequence[MaskedTrack],
        dataset: YoutubeVisDataset,
    ) -> None:
        super().__init__(None, None, "segm")
        self.annotated, self.results = annotated, list(enumerate(results, start=1))
        # Videos by the rank of their ids, so that no id is too large or text for NumPy.
        self.ranks = {key: rank for rank, key in enumerate(sorted(dataset.places))}
        self.params.imgIds = list(range(len(self.ranks)))
        self.params.catIds = list(range(len(dataset.categories)))
        self.params.areaRng = AREA_RANGES_PX
        self._ranked: dict[tuple[int, int], _Ranked] = {}

    def _prepare(self) -> None:
        groups: list[dict[tuple[int, int], list[dict[str, Any]]]] = [defaultdict(list), defaultdict(list)]
        for group, tracks in zip(groups, (self.annotated, self.results), strict=True):
            for number, track in tracks:
                group[self.ranks[track.video_id], track.class_index].append(
                    {
                        "id": number,
                        "score": track.score,
                        "area": track.area,
                        "iscrowd": int(track.crowd),
                        "ignore": int(track.crowd),
                        "masks": track.masks,
                    }
                )
        self._gts, self._dts = groups

    def computeIoU(self, imgId: int, catId: int) -> NDArray[np.float64] | list[float]:  # noqa: N802, N803
        """Return the track IoU of the 100 highest-scored results of one video and category with its annotations.

        No pair below the lowest threshold can match, so pairs that stay below are not computed to the end, and results
        without a pair that reaches it are put aside, which spares the loops of matching.
        """
        annotated, results = self._gts[imgId, catId], self._dts[imgId, catId]
        if not results:
            return []
        order = np.argsort([-result["score"] for result in results], kind="mergesort")[: self.params.maxDets[-1]]
        ranked = [results[i] for i in order.tolist()]
        lowest, ious = float(self.params.iouThrs[0]), np.zeros((len(ranked), 0))
        if annotated:
            ious = track_iou([result["masks"] for result in ranked], [track["masks"] for track in annotated], lowest)
        able = np.flatnonzero((ious >= lowest).any(axis=1))
        self._dts[imgId, catId] = [ranked[i] for i in able.tolist()]
        self._ranked[imgId, catId] = _Ranked(
            ids=[result["id"] for result in ranked],
            scores=[result["score"] for result in ranked],
            areas=np.array([result["area"] for result in ranked]),
            able=able,
        )
        return ious[able]

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:  # noqa: N802, N803
        """Match one video and category as inherited, then put the results without any match back in their places."""
        if not self._gts[imgId, catId] and (imgId, catId) not in self._ranked:
            return None
        thresholds, results = len(self.params.iouThrs), self._ranked.get((imgId, catId), NOTHING)
        if len(results.able) or not results.ids:
            entry: dict[str, Any] = super().evaluateImg(imgId, catId, aRng, maxDet)
        else:
            annotated = self._gts[imgId, catId]
            left_out = [bool(track["ignore"] or not aRng[0] <= track["area"] <= aRng[1]) for track in annotated]
            entry = {
                "image_id": imgId,
                "category_id": catId,
                "aRng": aRng,
                "maxDet": maxDet,
                "gtIds": [annotated[i]["id"] for i in sorted(range(len(left_out)), key=left_out.__getitem__)],
                "gtMatches": np.zeros((thresholds, len(left_out))),
                "gtIgnore": np.array(sorted(left_out), np.int64),
            }
        matches = np.zeros((thresholds, len(results.ids)))
        ignored = ((results.areas < aRng[0]) | (results.areas > aRng[1]))[None].repeat(thresholds, axis=0)
        if len(results.able):
            matches[:, results.able], ignored[:, results.able] = entry["dtMatches"], entry["dtIgnore"]
        return {
            **entry,
            "dtIds": results.ids,
            "dtScores": results.scores,
            "dtMatches": matches,
            "dtIgnore": ignored,
        }


def _as_official(tracks: Sequence[MaskedTrack]) -> list[tuple[int, MaskedTrack]]:
    """Return numbered tracks as the official code finds them: by video, each replaced by the last that shares its id.

    COCOeval takes a match with number 0 for none, and so the annotation id 0 stays 0.
    """
    by_id = {track.track_id: (0 if track.track_id == 0 else number, track) for number, track in enumerate(tracks, 1)}
    return [by_id[track.track_id] for track in tracks]


def evaluate_tracks(dataset: YoutubeVisDataset, results: Sequence[MaskedTrack]) -> VideoEval:
    """Evaluate tracks that were read and checked already; see `score_youtube_vis`."""
    tracks = list(enumerate(dataset.masked_tracks, start=1))
    if dataset.official_quirks:
        by_video = {key: rank for rank, key in enumerate(sorted(dataset.places))}
        tracks = _as_official(sorted(dataset.masked_tracks, key=lambda track: by_video[track.video_id]))
    with contextlib.redirect_stdout(io.StringIO()), collection_paused():
        evaluator = VideoEval(tracks, results, dataset)
        evaluator.evaluate()
        evaluator.accumulate()
    return evaluator


def read_video_ground_truth(annotations: Path, official_quirks: bool = False) -> YoutubeVisDataset:
    """Read YouTube-VIS annotations to score against; arguments and errors as `YoutubeVisDataset.load`.

    Raises:
        InputError: if the file has no annotations.
    """
    dataset = YoutubeVisDataset.load(annotations, official_quirks=official_quirks)
    dataset.require_truth()
    return dataset


def evaluate_youtube_vis(
    dataset: YoutubeVisDataset, tracks: Sequence[MaskedTrack], video_ids: Collection[Id] | None = None
) -> tuple[Score, VideoEval]:
    """Score results against ground truth, both read already; see `score_youtube_vis`."""
    read = len(tracks)
    if video_ids is not None:
        dataset = dataset.only(video_ids, "scored")
        tracks = [track for track in tracks if track.video_id in dataset.places]
    evaluator = evaluate_tracks(dataset, tracks)
    curves = Curves(np.asarray(evaluator.eval["precision"]), np.asarray(evaluator.eval["recall"]))
    notes = ["scored with the official evaluator's quirks"] if dataset.official_quirks else []
    if not dataset.official_quirks and any(track.track_id == 0 for track in dataset.tracks):
        notes.append(ZERO_ID_NOTE)
    if missing := sum(track.areas is None for track in dataset.tracks):
        notes.append(f"{missing} tracks have no areas in the annotations; those of their masks were taken")
    if len(tracks) < read:
        notes.append(f"{read - len(tracks)} results of other videos than the {len(dataset.videos)} were left out")
    score = Score(
        task="youtube-vis",
        engine="pycocotools",
        stats=summarize(curves),
        per_category=per_category(curves, dataset.categories),
        counts={
            "videos": len(dataset.videos),
            "annotations": len(dataset.tracks),
            "results": len(tracks),
        },
        notes=tuple(notes),
    )
    return score, evaluator


def score_youtube_vis(
    annotations: Path,
    results: Path,
    official_quirks: bool = False,
    resamples: int = 0,
    seed: int = 0,
    against: Path | None = None,
    video_ids: Collection[Id] | None = None,
) -> Score:
    """Score a YouTube-VIS results file with the semantics of the official evaluator (youtubevos/cocoapi, 2019).

    Args:
        annotations: YouTube-VIS annotations with ground truth, ``.json`` or ``.json.gz``.
        results: a list of ``{video_id, category_id, score, segmentations}``, one mask or null per frame.
        official_quirks: also repeat what the official code gets silently wrong: ragged tracks are cut, masks of
            another size vanish, unknown categories are dropped, duplicate ids replace each other, matches with
            annotation id 0 count as false positives. Without it these are errors (id 0 is matched properly).
        resamples: number of bootstrap draws of the videos for 95 % intervals; 0 leaves them out.
        seed: base seed of the draws.
        against: another model's results file, from whose numbers the difference is taken, with its interval.
        video_ids: score only these videos; results of others are left out.

    Returns:
        The twelve official numbers, over all categories and for each; an empty results list scores 0.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and place of whatever is wrong in any file.
    """
    dataset = read_video_ground_truth(annotations, official_quirks)
    files = [results] if against is None else [results, against]
    scored = [evaluate_youtube_vis(dataset, read_tracks(path, dataset), video_ids) for path in files]
    drawn = None
    if resamples:
        drawn = bootstrap([matches_of(evaluator) for _, evaluator in scored], "videos", resamples, seed)
    return with_difference([score for score, _ in scored], drawn)

"""YouTube-VIS annotation and results files as the scorer needs them, every id, number, track and mask checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from suite.accuracy.coco_files import (
    crowd_flag,
    named_categories,
    no_ground_truth,
    refuse_duplicates,
    require_known,
)
from suite.accuracy.score import Category
from suite.accuracy.segmentations import Codes, compress
from suite.accuracy.typed_json import MAX_SIDE_PX, Id, Rle, Segmentation, Side, read_typed
from suite.errors import InputError


class _Video(msgspec.Struct, frozen=True):
    id: Id
    height: Side
    width: Side
    length: int | None = None
    file_names: list[str] | None = None


class _Category(msgspec.Struct, frozen=True):
    id: Id
    name: str | None = None


class _Track(msgspec.Struct, frozen=True):
    id: Id
    video_id: Id
    category_id: Id
    segmentations: list[Segmentation]
    areas: list[float | None]
    iscrowd: int | bool


class _AnnotationFile(msgspec.Struct, frozen=True):
    videos: list[_Video]
    categories: list[_Category]
    annotations: list[_Track] | None = None


class _Result(msgspec.Struct, frozen=True):
    video_id: Id
    category_id: Id
    score: float
    segmentations: list[Segmentation]


@dataclass(frozen=True)
class Video:
    """Frame size in pixels and number of annotated frames; ``frames`` is None where the file does not say."""

    id: int
    height: int
    width: int
    frames: int | None


@dataclass(frozen=True)
class TrackMasks:
    """The masks of a track, frame by frame.

    ``places`` says where the code of each frame is in ``codes`` (shared by all tracks of a file), -1 where the object
    is absent; ``areas_px`` is the number of pixels that each covers, 0 where it is absent. Both have the shape (T,).
    """

    codes: Codes
    places: NDArray[np.int64]
    areas_px: NDArray[np.int64]


@dataclass(frozen=True)
class Track:
    """One object through one video: of the ground truth (``score`` 1) or of the results (``crowd`` False).

    ``area`` is the official one in square pixels: the mean over frames whose area is neither null nor 0, else 0. It
    comes from the annotations' ``areas``, not from their masks, and from the masks of results.
    """

    id: int
    video_id: int
    category_id: int
    masks: TrackMasks
    area: float
    crowd: bool = False
    score: float = 1.0


@dataclass(frozen=True)
class VideoGroundTruth:
    """The annotated tracks of a YouTube-VIS file, in file order."""

    path: Path
    videos: dict[int, Video]
    categories: tuple[Category, ...]
    tracks: tuple[Track, ...]


def mean_area(areas: Sequence[float | None]) -> float:
    """Return the mean of the areas that are neither null nor 0, and 0 where there is none."""
    present = [area for area in areas if area]
    return float(np.array(present).mean()) if present else 0.0


def _present(segmentation: Segmentation) -> bool:
    """Tell whether the object is in a frame; null, ``[]`` and ``{}`` say that it is not."""
    if type(segmentation) is Rle:
        return segmentation.counts is not None or segmentation.size is not None
    return bool(segmentation)


def _own_size(segmentation: Segmentation, frame: tuple[int, int]) -> tuple[int, int]:
    """Return the size that a run-length code itself states, if it can be one, else the frame's."""
    own = segmentation.size if isinstance(segmentation, Rle) else None
    return own if own is not None and all(1 <= side <= MAX_SIDE_PX for side in own) else frame


def _track_masks(
    tracks: Sequence[tuple[Sequence[Segmentation], Video]], path: Path, root: str, official_quirks: bool
) -> list[TrackMasks]:
    """Compress every frame of every track."""
    ends = np.cumsum([len(segmentations) for segmentations, _ in tracks], dtype=np.int64)
    present: list[int] = []
    segmentations: list[Segmentation] = []
    sizes: list[tuple[int, int]] = []
    for end, (frames, video) in zip(ends.tolist(), tracks, strict=True):
        first, size = end - len(frames), (video.height, video.width)
        here = [place for place, frame in enumerate(frames) if frame is not None and _present(frame)]
        present += [first + place for place in here]
        segmentations += frames if len(here) == len(frames) else [frames[place] for place in here]
        sizes += [size] * len(here)
    if official_quirks:
        sizes = [_own_size(segmentation, size) for segmentation, size in zip(segmentations, sizes, strict=True)]

    def named(index: int) -> str:
        track = int(np.searchsorted(ends, present[index], side="right"))
        frame = present[index] - int(ends[track]) + len(tracks[track][0])
        return f"{root}[{track}].segmentations[{frame}]"

    codes = compress(segmentations, sizes, path, named)
    if codes.has_empty_runs:
        # pycocotools stops comparing early where the empty runs of two masks meet.
        clean = [coco_mask.encode(coco_mask.decode(rle))["counts"].decode("ascii") for rle in codes.rles()]
        codes = replace(codes, counts=clean, has_empty_runs=False)
    total = int(ends[-1]) if len(ends) else 0
    places, areas_px = np.full(total, -1), np.zeros(total, np.int64)
    places[present] = np.arange(len(present))
    areas_px[present] = codes.areas_px
    return [
        TrackMasks(codes, places[end - len(frames) : end], areas_px[end - len(frames) : end])
        for end, (frames, _) in zip(ends.tolist(), tracks, strict=True)
    ]


def _check_lengths(
    tracks: Sequence[tuple[Sequence[Segmentation], Video]], path: Path, root: str, frames_of: dict[int, int]
) -> None:
    """Refuse a track whose length is not its video's; ``frames_of`` learns the length of videos that do not say it."""
    for place, (segmentations, video) in enumerate(tracks):
        frames = video.frames if video.frames is not None else frames_of.setdefault(video.id, len(segmentations))
        if len(segmentations) != frames:
            raise InputError(
                f"{path}: {root}[{place}].segmentations: {len(segmentations)} entries for the {frames} frames of video "
                f"{video.id}; give one per frame, null where the object is absent"
            )


def read_video_ground_truth(path: Path, official_quirks: bool = False) -> VideoGroundTruth:
    """Read a YouTube-VIS annotations file (``.json`` or ``.json.gz``).

    Args:
        path: the file.
        official_quirks: let through what the official code does not notice: duplicate ids, tracks of unknown videos or
            categories, ragged tracks and masks of another size than the video.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, a duplicate or unknown id, a ragged track or a bad mask.
    """
    remedy = "the annotations are not in YouTube-VIS format"
    document = read_typed(path, _AnnotationFile, "annotations file", "", remedy)
    if document.annotations is None:
        raise no_ground_truth(path)
    if not official_quirks:
        refuse_duplicates((video.id for video in document.videos), path, "videos")
        refuse_duplicates((track.id for track in document.annotations), path, "annotations")
    videos = {
        video.id: Video(
            video.id, video.height, video.width, len(video.file_names) if video.file_names else video.length
        )
        for video in document.videos
    }
    categories = named_categories(((category.id, category.name) for category in document.categories), path)
    category_ids = {category.id for category in categories}
    read = []
    for place, track in enumerate(document.annotations):
        where = f"{path}: annotations[{place}]"
        if official_quirks and (track.video_id not in videos or track.category_id not in category_ids):
            continue
        require_known(track.video_id, videos, f"{where}.video_id", "video", "list it under 'videos'")
        require_known(track.category_id, category_ids, f"{where}.category_id", "category", "list it under 'categories'")
        read.append((track, crowd_flag(track.iscrowd, where)))
    pairs = [(track.segmentations, videos[track.video_id]) for track, _ in read]
    if not official_quirks:
        _check_lengths(pairs, path, "annotations", {})
    return VideoGroundTruth(
        path=path,
        videos=videos,
        categories=categories,
        tracks=tuple(
            Track(track.id, track.video_id, track.category_id, masks, mean_area(track.areas), crowd)
            for (track, crowd), masks in zip(
                read, _track_masks(pairs, path, "annotations", official_quirks), strict=True
            )
        ),
    )


def read_tracks(path: Path, ground_truth: VideoGroundTruth, official_quirks: bool = False) -> tuple[Track, ...]:
    """Read a YouTube-VIS results file (``.json`` or ``.json.gz``) that belongs to ``ground_truth``.

    Args:
        path: the file.
        ground_truth: the annotations it is for.
        official_quirks: drop results of unknown categories and let ragged tracks and masks of other sizes through, as
            the official code does; it too refuses results of unknown videos, and fails on an empty list.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, an unknown id, a ragged track or a bad mask.
    """
    remedy = "a result needs video_id, category_id, score and segmentations"
    results = read_typed(path, list[_Result], "results file", "results", remedy)
    if official_quirks and not results:
        raise InputError(f"{path}: the official evaluator cannot score an empty list; leave out --official-quirks")
    category_ids = {category.id for category in ground_truth.categories}
    for place, result in enumerate(results):
        where, remedy = f"{path}: results[{place}]", f"these results are not for {ground_truth.path.name}"
        require_known(result.video_id, ground_truth.videos, f"{where}.video_id", "video", remedy)
        if not official_quirks:
            require_known(result.category_id, category_ids, f"{where}.category_id", "category", remedy)
    pairs = [(result.segmentations, ground_truth.videos[result.video_id]) for result in results]
    if not official_quirks:
        lengths = {track.video_id: len(track.masks.places) for track in ground_truth.tracks}
        _check_lengths(pairs, path, "results", lengths)
    found = zip(results, _track_masks(pairs, path, "results", official_quirks), strict=True)
    return tuple(
        Track(
            id=place,
            video_id=result.video_id,
            category_id=result.category_id,
            masks=masks,
            area=int(masks.areas_px.sum()) / max(int(np.count_nonzero(masks.areas_px)), 1),
            score=result.score,
        )
        for place, (result, masks) in enumerate(found, start=1)
        if result.category_id in category_ids
    )

"""YouTube-VIS annotation and results files as the scorer needs them, every id, number, track and mask checked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from suite.accuracy.coco_files import (
    crowd_flag,
    named_categories,
    no_ground_truth,
    refuse_duplicates,
    require_known,
)
from suite.accuracy.score import Category
from suite.accuracy.track_masks import TrackMasks, compress_tracks
from suite.accuracy.typed_json import Id, Segmentation, Side
from suite.errors import InputError
from suite.typed import read_typed


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
class VideoTable:
    """The videos of a YouTube-VIS file by id, and its categories by ascending id."""

    path: Path
    videos: dict[int, Video]
    categories: tuple[Category, ...]


@dataclass(frozen=True)
class VideoGroundTruth(VideoTable):
    """The annotated tracks of a YouTube-VIS file, in file order."""

    tracks: tuple[Track, ...]

    def only(self, video_ids: Collection[int]) -> VideoGroundTruth:
        """Return the ground truth of these videos alone.

        Raises:
            InputError: if the file lacks one of them.
        """
        if missing := sorted(set(video_ids) - set(self.videos)):
            raise InputError(f"{self.path}: has no video with id {missing[0]}; the list is for another file")
        videos = {key: video for key, video in self.videos.items() if key in video_ids}
        return replace(self, videos=videos, tracks=tuple(track for track in self.tracks if track.video_id in videos))


def mean_area(areas: Sequence[float | None]) -> float:
    """Return the mean of the areas that are neither null nor 0, and 0 where there is none."""
    present = [area for area in areas if area]
    return float(np.array(present).mean()) if present else 0.0


def _sized(
    tracks: Sequence[tuple[Sequence[Segmentation], Video]],
) -> list[tuple[Sequence[Segmentation], tuple[int, int]]]:
    return [(segmentations, (video.height, video.width)) for segmentations, video in tracks]


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


def _read_document(path: Path) -> _AnnotationFile:
    return read_typed(path, _AnnotationFile, "annotations file", "the annotations are not in YouTube-VIS format")


def _video_table(path: Path, document: _AnnotationFile) -> VideoTable:
    videos = {
        video.id: Video(
            video.id, video.height, video.width, len(video.file_names) if video.file_names else video.length
        )
        for video in document.videos
    }
    pairs = ((category.id, category.name) for category in document.categories)
    return VideoTable(path, videos, named_categories(pairs, path))


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
    document = _read_document(path)
    if document.annotations is None:
        raise no_ground_truth(path)
    if not official_quirks:
        refuse_duplicates((video.id for video in document.videos), path, "videos")
        refuse_duplicates((track.id for track in document.annotations), path, "annotations")
    table = _video_table(path, document)
    videos, category_ids = table.videos, {category.id for category in table.categories}
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
        categories=table.categories,
        tracks=tuple(
            Track(track.id, track.video_id, track.category_id, masks, mean_area(track.areas), crowd)
            for (track, crowd), masks in zip(
                read, compress_tracks(_sized(pairs), path, "annotations", official_quirks), strict=True
            )
        ),
    )


def read_tracks(path: Path, table: VideoTable, official_quirks: bool = False) -> tuple[Track, ...]:
    """Read a YouTube-VIS results file (``.json`` or ``.json.gz``) that is for the videos of ``table``.

    Args:
        path: the file.
        table: the videos it is for; ground truth also tells the lengths of videos that do not say theirs.
        official_quirks: drop results of unknown categories and let ragged tracks and masks of other sizes through, as
            the official code does; it too refuses results of unknown videos, and fails on an empty list.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, an unknown id, a ragged track or a bad mask.
    """
    remedy = "a result needs video_id, category_id, score and segmentations"
    results = read_typed(path, list[_Result], "results file", remedy, "results")
    if official_quirks and not results:
        raise InputError(f"{path}: the official evaluator cannot score an empty list; leave out --official-quirks")
    category_ids = {category.id for category in table.categories}
    for place, result in enumerate(results):
        where, remedy = f"{path}: results[{place}]", f"these results are not for {table.path.name}"
        require_known(result.video_id, table.videos, f"{where}.video_id", "video", remedy)
        if not official_quirks:
            require_known(result.category_id, category_ids, f"{where}.category_id", "category", remedy)
    pairs = [(result.segmentations, table.videos[result.video_id]) for result in results]
    if not official_quirks:
        known = table.tracks if isinstance(table, VideoGroundTruth) else ()
        lengths = {track.video_id: len(track.masks.places) for track in known}
        _check_lengths(pairs, path, "results", lengths)
    found = zip(results, compress_tracks(_sized(pairs), path, "results", official_quirks), strict=True)
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

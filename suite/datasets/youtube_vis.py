"""Reads YouTube-VIS annotations (a JSON file and a folder of frames), with every fault named."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.datasets.coco import read_image
from suite.datasets.fields import (
    Categories,
    boolean_flag,
    integer,
    member,
    objects,
    positive,
    read_categories,
    read_object,
    relative_name,
    unique,
)
from suite.errors import DataError, InputError


@dataclass(frozen=True)
class Video:
    """One video: its dataset id, its frames' file names relative to the frame folder, and the frame size in pixels."""

    video_id: int
    file_names: tuple[str, ...]
    height: int
    width: int

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.file_names)


@dataclass(frozen=True)
class Track:
    """One object of one video.

    Attributes:
        track_id: the annotation's id in the file.
        video_id: the video's id in the file.
        class_index: contiguous class index, 0..number of categories - 1.
        segmentations: one per frame as in the file (see `suite.datasets.masks.to_mask`), None where it is not seen.
        areas: pixels per frame, None where it is not seen.
        iscrowd: whether it marks a crowd.
    """

    track_id: int
    video_id: int
    class_index: int
    segmentations: tuple[Any, ...]
    areas: tuple[float | None, ...]
    iscrowd: bool


@dataclass(frozen=True)
class YoutubeVisDataset:
    """A YouTube-VIS annotations file.

    Attributes:
        path: the annotations file.
        frame_folder: where the file names of the frames start, or None.
        videos: in the file's order.
        categories: contiguous class index <-> dataset category id <-> name.
        annotated: whether the file holds annotations (the official valid and test files do not).
        by_video: the tracks of each video.
        part: what identifies a part of the file's videos, None where it is all of them.
    """

    path: Path
    frame_folder: Path | None
    videos: tuple[Video, ...]
    categories: Categories
    annotated: bool
    by_video: Mapping[int, tuple[Track, ...]]
    part: str | None = None

    @classmethod
    def load(cls, annotations: Path, frames: Path | None = None) -> YoutubeVisDataset:
        """Read and check an annotations file; the frames themselves are not opened.

        Args:
            annotations: a YouTube-VIS JSON; ``annotations`` in it may be absent or null.
            frames: the folder of the frames (``JPEGImages``), if they are going to be read.

        Raises:
            DataError: if the file or the folder is absent.
            InputError: if the file is not a YouTube-VIS file; the message names the entry.
        """
        if frames is not None and not frames.is_dir():
            raise DataError(f"{frames}: no such frame folder; check the path")
        content = read_object(annotations, "YouTube-VIS annotations file")
        if "videos" not in content and "images" in content:
            raise InputError(f"{annotations}: lists images, not videos; it is a COCO file, read it as --dataset coco")
        categories = read_categories(annotations, content)
        videos = tuple(_video(annotations, place, entry) for place, entry in objects(annotations, content, "videos"))
        unique(annotations, "videos", (video.video_id for video in videos))
        known = {video.video_id: video for video in videos}
        grouped: dict[int, list[Track]] = {video_id: [] for video_id in known}
        entries = list(objects(annotations, content, "annotations", optional=True))
        unique(annotations, "annotations", (integer(annotations, place, entry, "id") for place, entry in entries))
        for place, entry in entries:
            track = _track(annotations, place, entry, categories, known)
            grouped[track.video_id].append(track)
        by_video = {video_id: tuple(tracks) for video_id, tracks in grouped.items()}
        annotated = content.get("annotations") is not None
        return cls(annotations, frames, videos, categories, annotated, by_video)

    def only(self, video_ids: Collection[int], part: str) -> YoutubeVisDataset:
        """Return the dataset with only these videos.

        Args:
            video_ids: ids of videos of the file.
            part: what identifies the choice, e.g. a digest.

        Raises:
            InputError: if the file lacks one of them.
        """
        self._require(video_ids)
        videos = tuple(video for video in self.videos if video.video_id in video_ids)
        return replace(self, videos=videos, by_video={v.video_id: self.by_video[v.video_id] for v in videos}, part=part)

    def without(self, video_ids: Collection[int], part: str) -> YoutubeVisDataset:
        """Return the dataset with all other videos; arguments and errors as `only`."""
        self._require(video_ids)
        return self.only(set(self.by_video) - set(video_ids), part)

    def _require(self, video_ids: Collection[int]) -> None:
        if missing := sorted(set(video_ids) - set(self.by_video)):
            raise InputError(f"{self.path}: has no video with id {missing[0]}; the list is for another file")

    def tracks_of(self, video_id: int) -> tuple[Track, ...]:
        """Return the objects of a video, in the file's order.

        Raises:
            InputError: if the file has no such video.
        """
        if video_id not in self.by_video:
            raise InputError(f"{self.path}: has no video with id {video_id}; is it another dataset's id?")
        return self.by_video[video_id]

    def frame_path(self, video: Video, frame: int) -> Path:
        """Return where a frame's file is.

        Raises:
            InputError: if the dataset was loaded without a frame folder.
        """
        if self.frame_folder is None:
            raise InputError(f"{self.path}: loaded without its frame folder; name it (--images)")
        return self.frame_folder / video.file_names[frame]

    def read_frame(self, video: Video, frame: int) -> NDArray[np.uint8]:
        """Return a frame's pixels, (H, W, 3) uint8 RGB; raises as `suite.datasets.coco.read_image` does."""
        return read_image(self.frame_path(video, frame), (video.height, video.width))

    def read_frames(self, video: Video) -> Iterator[NDArray[np.uint8]]:
        """Yield a video's frames in order, one in memory at a time."""
        for frame in range(video.length):
            yield self.read_frame(video, frame)


def _video(path: Path, place: str, entry: dict[str, Any]) -> Video:
    file_names = member(path, place, entry, "file_names")
    if not isinstance(file_names, list) or not file_names:
        raise InputError(f"{path}: {place}.file_names must be a list of at least one file name; correct it")
    if "length" in entry and positive(path, place, entry, "length") != len(file_names):
        raise InputError(
            f"{path}: {place} has length {entry['length']} but {len(file_names)} file_names; correct one of them"
        )
    return Video(
        video_id=integer(path, place, entry, "id"),
        file_names=tuple(relative_name(path, place, f"file_names[{k}]", name) for k, name in enumerate(file_names)),
        height=positive(path, place, entry, "height"),
        width=positive(path, place, entry, "width"),
    )


def _per_frame(path: Path, place: str, entry: dict[str, Any], key: str, video: Video) -> list[Any]:
    values = member(path, place, entry, key)
    if not isinstance(values, list) or len(values) != video.length:
        have = f"{len(values)} entries" if isinstance(values, list) else "no list"
        raise InputError(
            f"{path}: {place}.{key} has {have} but video {video.video_id} has {video.length} frames; give one per frame"
        )
    return values


def _track(path: Path, place: str, entry: dict[str, Any], categories: Categories, known: Mapping[int, Video]) -> Track:
    video_id = integer(path, place, entry, "video_id")
    if video_id not in known:
        raise InputError(f"{path}: {place}.video_id {video_id} is not among the file's videos; correct or remove it")
    segmentations = _per_frame(path, place, entry, "segmentations", known[video_id])
    areas = _per_frame(path, place, entry, "areas", known[video_id])
    for frame, (segmentation, area) in enumerate(zip(segmentations, areas, strict=True)):
        if segmentation is not None and not isinstance(segmentation, list | dict):
            raise InputError(
                f"{path}: {place}.segmentations[{frame}] must be polygons, run-length encoding or null; correct it"
            )
        if area is not None and (not isinstance(area, int | float) or isinstance(area, bool)):
            raise InputError(f"{path}: {place}.areas[{frame}] must be a number or null, not {area!r:.60}; correct it")
    return Track(
        track_id=integer(path, place, entry, "id"),
        video_id=video_id,
        class_index=categories.index_of(path, place, integer(path, place, entry, "category_id")),
        segmentations=tuple(segmentations),
        areas=tuple(None if area is None else float(area) for area in areas),
        iscrowd=boolean_flag(path, place, entry, "iscrowd"),
    )

"""The official splits: where a split's annotations and pictures are, and how many videos YouTube-VIS says it has."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from suite.datasets.pins import Pin
from suite.errors import DataError
from suite.typed import read_typed

Task = Literal["coco", "youtube-vis"]


@dataclass(frozen=True)
class Split:
    """An official split.

    Attributes:
        task: format of its annotations.
        annotations: the file, relative to where the archive of its pictures is unpacked.
        images: the picture folder, relative to the same.
        annotations_pin: pin that brings the annotations; empty where the archive of the pictures does.
        videos: official number of videos (YouTube-VIS pages and TFDS); None for COCO, whose archives have digests.
    """

    task: Task
    annotations: str
    images: str
    annotations_pin: str = ""
    videos: int | None = None


def _coco(name: str, annotations: str, pin: str) -> Split:
    return Split("coco", f"annotations/{annotations}.json", name, pin)


SPLITS: dict[str, Split] = {
    "train2017": _coco("train2017", "instances_train2017", "annotations_trainval2017"),
    "val2017": _coco("val2017", "instances_val2017", "annotations_trainval2017"),
    "test2017": _coco("test2017", "image_info_test2017", "image_info_test2017"),
    "youtube_vis_2019_train": Split(
        "youtube-vis", "train.json", "train/JPEGImages", "youtube_vis_2019_train_annotations", 2238
    ),
    "youtube_vis_2019_valid": Split(
        "youtube-vis", "valid.json", "valid/JPEGImages", "youtube_vis_2019_valid_annotations", 302
    ),
    "youtube_vis_2021_train": Split("youtube-vis", "train/instances.json", "train/JPEGImages", videos=2985),
    "youtube_vis_2021_valid": Split("youtube-vis", "valid/instances.json", "valid/JPEGImages", videos=421),
    "youtube_vis_2021_test": Split("youtube-vis", "test/instances.json", "test/JPEGImages", videos=453),
}
"""Splits by the pin that brings their pictures."""

ANNOTATIONS: dict[str, tuple[str, str]] = {
    "e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f": ("coco", "val2017"),
}
"""SHA-256 of an official annotations file -> dataset and split: what a score on it may be compared with."""


class _Videos(msgspec.Struct):
    """The list of an annotations file, counted but not parsed."""

    videos: list[msgspec.Raw]


def check_videos(pin: str, have: int, where: object) -> None:
    """Compare the number of videos that a file of a pin has with the official one, where there is one.

    Raises:
        DataError: if it differs, with both numbers.
    """
    expected = next((split.videos for name, split in SPLITS.items() if pin in (name, split.annotations_pin)), None)
    if expected is not None and have != expected:
        raise DataError(
            f"{where}: holds {have} videos, officially {expected}; it is not {pin}, or not all of it; get it again"
        )


def count_videos(pin: Pin, path: Path) -> int:
    """Count the videos of an archive or annotations file of YouTube-VIS without unpacking it; 0 for other files.

    Raises:
        DataError: if it is no zip although its name says so.
        InputError: if it is no annotations file although its name says so.
    """
    if path.suffix == ".json":
        remedy = "give the whole annotations file, not a results file"
        return len(read_typed(path, _Videos, "annotations file", remedy).videos)
    if path.suffix != ".zip":
        return 0
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if name.endswith((".jpg", ".png"))]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a readable zip ({error}); get it again from {pin.page or pin.url}") from None
    return len({name.parent for name in names})

"""The official files: how many videos each holds, and where its annotations are."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from suite.datasets.pins import Pin
from suite.errors import DataError
from suite.typed import read_typed

COUNTS: dict[str, dict[str, int]] = {
    "youtube_vis_2019_train": {"videos": 2238},
    "youtube_vis_2019_valid": {"videos": 302},
    "youtube_vis_2019_train_annotations": {"videos": 2238},
    "youtube_vis_2019_valid_annotations": {"videos": 302},
    "youtube_vis_2021_train": {"videos": 2985},
    "youtube_vis_2021_valid": {"videos": 421},
    "youtube_vis_2021_test": {"videos": 453},
}
"""Pin name -> what is counted -> how many there officially are (YouTube-VIS pages and TFDS); COCO's have digests."""

READY: dict[str, tuple[Literal["coco", "youtube-vis"], str, str]] = {
    "train2017": ("coco", "annotations/instances_train2017.json", "train2017"),
    "val2017": ("coco", "annotations/instances_val2017.json", "val2017"),
    "test2017": ("coco", "annotations/image_info_test2017.json", "test2017"),
    "youtube_vis_2019_train": ("youtube-vis", "train.json", "train/JPEGImages"),
    "youtube_vis_2019_valid": ("youtube-vis", "valid.json", "valid/JPEGImages"),
    "youtube_vis_2021_train": ("youtube-vis", "train/instances.json", "train/JPEGImages"),
    "youtube_vis_2021_valid": ("youtube-vis", "valid/instances.json", "valid/JPEGImages"),
    "youtube_vis_2021_test": ("youtube-vis", "test/instances.json", "test/JPEGImages"),
}
"""Pin name of a picture archive -> format, annotations and picture folder, relative to where it is unpacked."""

_ANNOTATIONS_ELSEWHERE = {
    "train2017": "annotations_trainval2017",
    "val2017": "annotations_trainval2017",
    "test2017": "image_info_test2017",
    "youtube_vis_2019_train": "youtube_vis_2019_train_annotations",
    "youtube_vis_2019_valid": "youtube_vis_2019_valid_annotations",
}

ANNOTATIONS: dict[str, tuple[str, str]] = {
    "e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f": ("coco", "val2017"),
}
"""SHA-256 of an official annotations file -> dataset and split: what a score on it may be compared with."""


class _Videos(msgspec.Struct):
    """The list of an annotations file, counted but not parsed."""

    videos: list[msgspec.Raw]


def annotations_pin(name: str) -> str:
    """Return which pin brings the annotations of a picture archive: another one, or the archive itself."""
    return _ANNOTATIONS_ELSEWHERE.get(name, name)


def check_counts(name: str, counts: dict[str, int], where: str) -> None:
    """Compare counts with the official ones.

    Args:
        name: the pin's name.
        counts: what was counted.
        where: file or folder, for messages.

    Raises:
        DataError: if a count differs, with both numbers.
    """
    for what, expected in COUNTS.get(name, {}).items():
        have = counts.get(what, 0)
        if have != expected:
            raise DataError(
                f"{where}: holds {have} {what}, officially {expected}; it is not {name}, or not all of it; get it again"
            )


def count_file(pin: Pin, path: Path) -> dict[str, int]:
    """Count what an archive or annotations file of YouTube-VIS holds, without unpacking it.

    Args:
        pin: what the file should be.
        path: a zip or JSON with videos, or anything else, of which nothing is counted.

    Raises:
        DataError: if it is no zip although its name says so.
        InputError: if it is no annotations file although its name says so.
    """
    if path.suffix == ".json":
        remedy = "give the whole annotations file, not a results file"
        return {"videos": len(read_typed(path, _Videos, "annotations file", remedy).videos)}
    if path.suffix != ".zip":
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if name.endswith((".jpg", ".png"))]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path}: not a readable zip ({error}); get it again from {pin.page or pin.url}") from None
    return {"videos": len({name.parent for name in names})}

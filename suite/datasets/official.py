"""Official counts: what an archive or folder must hold to be what its name says."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath
from typing import Literal

from suite.datasets.fields import read_object
from suite.datasets.pins import Pin
from suite.errors import DataError

COUNTS: dict[str, dict[str, int]] = {
    "train2017": {"images": 118287},
    "val2017": {"images": 5000},
    "test2017": {"images": 40670},
    "annotations_trainval2017": {"train images": 118287, "train objects": 860001}
    | {"val images": 5000, "val objects": 36781},
    "image_info_test2017": {"test images": 40670, "test-dev images": 20288},
    "youtube_vis_2019_train": {"videos": 2238},
    "youtube_vis_2019_valid": {"videos": 302},
    "youtube_vis_2019_train_annotations": {"videos": 2238},
    "youtube_vis_2019_valid_annotations": {"videos": 302},
    "youtube_vis_2021_train": {"videos": 2985},
    "youtube_vis_2021_valid": {"videos": 421},
    "youtube_vis_2021_test": {"videos": 453},
}
"""Pin name -> what is counted -> how many there officially are (COCO site; YouTube-VIS pages and TFDS)."""

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

_JSON_LISTS = {
    "annotations_trainval2017": {
        "train": ("instances_train2017.json", {"images": "images", "objects": "annotations"}),
        "val": ("instances_val2017.json", {"images": "images", "objects": "annotations"}),
    },
    "image_info_test2017": {
        "test": ("image_info_test2017.json", {"images": "images"}),
        "test-dev": ("image_info_test-dev2017.json", {"images": "images"}),
    },
}


def annotations_pin(name: str) -> str:
    """Return which pin brings the annotations of a picture archive: another one, or the archive itself."""
    return _ANNOTATIONS_ELSEWHERE.get(name, name)


def check_counts(name: str, counts: dict[str, int], where: str) -> str:
    """Compare counts with the official ones.

    Args:
        name: the pin's name.
        counts: what was counted.
        where: file or folder, for messages.

    Returns:
        A one-line summary of what was counted.

    Raises:
        DataError: if a count differs, with both numbers.
    """
    for what, expected in COUNTS.get(name, {}).items():
        have = counts.get(what, 0)
        if have != expected:
            raise DataError(f"{where}: holds {have} {what}, officially {expected}; not {name}, or not all of it")
    return ", ".join(f"{number} {what}" for what, number in counts.items()) or "nothing to count"


def unpacked_counts(name: str, folder: Path) -> dict[str, int] | None:
    """Count what an unpacked folder holds, or return None where no counting is known for that pin.

    Args:
        name: the pin's name.
        folder: the archive's top folder, e.g. ``val2017`` or ``annotations``.
    """
    if name in _JSON_LISTS:
        counts: dict[str, int] = {}
        for prefix, (file_name, lists) in _JSON_LISTS[name].items():
            content = read_object(folder / file_name, "annotations file")
            counts |= {f"{prefix} {what}": len(content.get(key, ())) for what, key in lists.items()}
        return counts
    if "images" in COUNTS.get(name, {}):
        return {"images": sum(path.suffix == ".jpg" for path in folder.iterdir())}
    if "videos" in COUNTS.get(name, {}):
        frames = folder / "JPEGImages"
        return {"videos": sum(path.is_dir() for path in frames.iterdir())} if frames.is_dir() else None
    return None


def measured_counts(pin: Pin) -> dict[str, int]:
    """Count what a pin's file holds, without unpacking it.

    Args:
        pin: a pin whose file is here: a zip with videos, a JSON with videos, or anything else (nothing counted).

    Raises:
        DataError: if it is no zip although its name says so.
        InputError: if it is no JSON object although its name says so.
    """
    path = pin.file
    if path.suffix == ".json":
        content = read_object(path, "annotations file")
        return {what: len(content[what]) for what in ("videos", "annotations") if isinstance(content.get(what), list)}
    if path.suffix != ".zip":
        return {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")]
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{pin.path}: not a readable zip ({error}); get it again from {pin.page or pin.url}") from None
    images = [name for name in names if name.suffix in (".jpg", ".png")]
    if "videos" not in COUNTS.get(pin.name, {}):
        return {"images": len(images)}
    return {"videos": len({name.parent for name in images}), "frames": len(images)}

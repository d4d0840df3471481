"""What the main job reads on real input: the user's files or pinned data, with the identity that goes on record."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from suite.datasets.local_split import LocalSplit, list_path, read_local_split
from suite.datasets.pins import Task, load_pins
from suite.datasets.state import verified_digest
from suite.errors import DataError, InputError
from suite.files import file_digest
from suite.paths import shown
from suite.progress import say

OFFICIAL_ANNOTATIONS: dict[str, tuple[str, str]] = {
    "e8c7f7908f1d7278341fae127d0da654f102f11bd7b21d8aeefa635b8c810b6f": ("coco", "val2017"),
}
"""SHA-256 of an official annotations file -> dataset and split: what a score on it may be compared with."""


@dataclass(frozen=True)
class RealInput:
    """Annotations and images to measure on.

    Attributes:
        task: format of the annotations.
        annotations: the annotations file.
        images: the folder its file names start from.
        name: the dataset's name on record.
        split: the dataset's split on record.
        digest: the pinned digest of the images' archive; SHA-256 of the annotations where nothing pinned was verified.
        pinned: whether the data were verified to be the pinned or the official ones.
        part: the videos to measure on, None for all of them.
    """

    task: Task
    annotations: Path
    images: Path
    name: str
    split: str
    digest: str
    pinned: bool
    part: LocalSplit | None = None


def only_part(data: RealInput, split_ids: Path) -> RealInput:
    """Return input of which only the videos of a list are measured on.

    The list of the repository was made from the pinned annotations and knows their digest, so annotations that it
    fits are the pinned ones. With another list, whatever it is called, the input is not the pinned one.

    Raises:
        InputError: if the input is no video, or the list is none.
        DataError: if the list is absent or was made from other annotations.
    """
    if data.task != "youtube-vis":
        raise InputError(f"--split-ids {split_ids}: is for --dataset youtube-vis; leave it out")
    part = read_local_split(split_ids, data.annotations)
    known = split_ids.resolve() == list_path(part.dataset).resolve()
    return replace(data, name=part.dataset, split=part.split, digest=file_digest(split_ids), pinned=known, part=part)


def named_input(task: Task, annotations: Path, images: Path) -> RealInput:
    """Return files the user names; they count as pinned only if the annotations are byte for byte official ones."""
    _require(annotations, images, "check the path")
    digest = file_digest(annotations)
    name, split = OFFICIAL_ANNOTATIONS.get(digest, (task, annotations.stem))
    return RealInput(task, annotations, images, name, split, digest, pinned=digest in OFFICIAL_ANNOTATIONS)


def pinned_input(task: Task, name: str | None = None, allow_unpinned: bool = False) -> RealInput:
    """Return a dataset of ``datasets.dvc`` after verifying its archives.

    Args:
        task: format of the annotations.
        name: pin of the archive that holds the images; None for the task's default.
        allow_unpinned: whether what is unpacked may be used although it cannot be compared with a pin, or differs
            from it; ``pinned`` then says so.

    Raises:
        InputError: if no such dataset of this format is pinned.
        DataError: if data are absent, not as pinned, or unpinned and that is not allowed; with the remedy.
    """
    # YouTube-VIS has no default: no pin of it has a published digest.
    name, pins = name or ("val2017" if task == "coco" else None), load_pins()
    known = {pin.name: pin.meta.split for pin in pins.values() if pin.meta.split and pin.meta.split.task == task}
    if name not in known:
        problem = f"no {task} dataset '{name}'" if name else f"--dataset {task} has no default"
        raise InputError(f"datasets.dvc: {problem}; give --pin with one of {', '.join(known)}")
    archives = [pins[part] for part in (name, known[name].annotations_pin) if part in pins]
    annotations, images = pins[name].folder / known[name].annotations, pins[name].folder / known[name].images
    # coco and val2017; youtube-vis-2021 and train.
    dataset, split = (task, name) if task == "coco" else name.replace("_", "-").rsplit("-", 1)
    try:
        digest, *_ = [verified_digest(pin) for pin in archives]
    except DataError as error:
        if not allow_unpinned:
            hint = "" if all(pin.md5 for pin in archives) else ", or use --allow-unpinned"
            raise DataError(f"{error}{hint}") from None
        _require(annotations, images, f"{error}")
        say(f"goes on record as not pinned: {error}")
        return RealInput(task, annotations, images, dataset, split, file_digest(annotations), pinned=False)
    _require(annotations, images, f"run 'python -m suite data fetch {pins[name].meta.group}'")
    return RealInput(task, annotations, images, dataset, split, digest, pinned=True)


def _require(annotations: Path, images: Path, remedy: str) -> None:
    if not annotations.is_file():
        raise DataError(f"{shown(annotations)}: no such annotations file; {remedy}")
    if not images.is_dir():
        raise DataError(f"{shown(images)}: no such image folder; {remedy}")

"""Health check: do annotations and images belong together, and can everything be read?

It looks at counts, categories, file presence, image sizes and masks, sampled or all of them, and remembers that all is
well for as long as neither the annotations nor the image folder change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from suite.datasets.categories import COCO_UNUSED_IDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from suite.datasets.coco import CocoDataset, read_image
from suite.datasets.fields import Categories
from suite.datasets.masks import to_mask
from suite.datasets.memory import keep, recall
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError, SuiteError
from suite.files import file_digest
from suite.progress import track

Kind = Literal["coco", "youtube-vis"]
SAMPLED = 64
MEMORY_NAME = ".health.json"
_KEPT = 50


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it is well, and the numbers or the first fault."""

    what: str
    well: bool
    detail: str


@dataclass(frozen=True)
class Health:
    """The result of a health check.

    Attributes:
        annotations: the annotations file.
        digest: its MD5.
        deep: whether everything was opened or only a sample.
        checks: what was looked at, in order.
    """

    annotations: str
    digest: str
    deep: bool
    checks: tuple[Check, ...]

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.well for check in self.checks)

    def text(self) -> str:
        """Return the report for a person."""
        width = max(len(check.what) for check in self.checks)
        lines = [f"{'ok ' if c.well else 'BAD'}  {c.what.ljust(width)}  {c.detail}" for c in self.checks]
        looked = "everything opened" if self.deep else f"a sample of at most {SAMPLED} opened, --deep opens all"
        return "\n".join([f"{self.annotations} (md5 {self.digest}; {looked})", *lines])


@dataclass(frozen=True)
class _Picture:
    """One image or frame with its objects' segmentations, whatever the format."""

    name: str
    path: Path
    height: int
    width: int
    segmentations: tuple[tuple[str, Any], ...]


def check_health(kind: Kind, annotations: Path, images: Path, deep: bool = False) -> Health:
    """Look at a dataset.

    Args:
        kind: the format of the annotations.
        annotations: the annotations file.
        images: the folder its file names start from.
        deep: open every image and decode every mask, not a sample.

    Returns:
        What was found; from memory if all was well and file and folder have not changed since.

    Raises:
        DataError: if the file or the folder is absent.
        InputError: if the annotations cannot be read at all.
    """
    if not images.is_dir():
        raise DataError(f"{images}: no such image folder; check the path")
    digest = file_digest(annotations, "md5")
    key = _key(kind, digest, images, deep)
    remembered = recall(MEMORY_NAME).get(key)
    if remembered is not None:
        checks = tuple(Check(**check) for check in remembered["checks"])
        if all(check.well for check in checks):
            return Health(str(annotations), digest, deep, checks)
    if kind == "coco":
        checks = _check_coco(CocoDataset.load(annotations, images), deep)
    else:
        checks = _check_videos(YoutubeVisDataset.load(annotations, images), deep)
    health = Health(str(annotations), digest, deep, checks)
    if not health.well:  # looked at again next time: a repair need not change a file's size or time
        return health
    kept = dict(list(recall(MEMORY_NAME).items())[-_KEPT:]) | {key: {"checks": [asdict(check) for check in checks]}}
    keep(MEMORY_NAME, kept)
    return health


def require_health(kind: Kind, annotations: Path, images: Path) -> Health:
    """Do a sampled health check and refuse a dataset that is not well.

    Raises:
        DataError: naming the first fault.
    """
    health = check_health(kind, annotations, images)
    for check in health.checks:
        if not check.well:
            raise DataError(
                f"{annotations}: {check.what}: {check.detail}; repair the dataset, or remove the folder that was "
                "unpacked and run 'data fetch'"
            )
    return health


def _key(kind: Kind, digest: str, images: Path, deep: bool) -> str:
    """Return what the result depends on: the annotations and every file name, size and time in the folder."""
    # Names need not be UTF-8, and stand for their bytes then.
    state = hashlib.sha256(os.fsencode(f"{kind} {digest} {deep} {images.resolve()}"))
    for parent, folders, names in os.walk(images, followlinks=True):
        folders.sort()
        for name in sorted(names):
            state.update(os.fsencode(f"{parent}/{name} {_size_and_time(Path(parent, name))}\n"))
    return state.hexdigest()


def _size_and_time(path: Path) -> str:
    """Return what changes with a file; a link to nothing, as editors leave them, has neither."""
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_size} {status.st_mtime_ns}"


def _check_coco(dataset: CocoDataset, deep: bool) -> tuple[Check, ...]:
    objects = sum(len(group) for group in dataset.by_image.values())
    crowds = sum(annotation.iscrowd for group in dataset.by_image.values() for annotation in group)
    pictures = [
        _Picture(
            image.file_name,
            dataset.image_path(image),
            image.height,
            image.width,
            tuple((f"annotation {a.annotation_id}", a.segmentation) for a in dataset.annotations_of(image.image_id)),
        )
        for image in dataset.images
    ]
    counts = Check("counts", bool(pictures), f"{len(pictures)} images, {objects} objects, {crowds} of them crowds")
    return (counts, _categories(dataset.categories), *_pictures(pictures, deep))


def _check_videos(dataset: YoutubeVisDataset, deep: bool) -> tuple[Check, ...]:
    pictures = []
    unseen = []
    for video in dataset.videos:
        tracks = dataset.tracks_of(video.video_id)
        unseen += [track.track_id for track in tracks if not any(track.segmentations)]
        for frame, name in enumerate(video.file_names):
            seen = [(f"track {t.track_id} frame {frame}", t.segmentations[frame]) for t in tracks]
            path = dataset.frame_path(video, frame)
            pictures.append(_Picture(name, path, video.height, video.width, tuple(seen)))
    tracks_count = sum(len(group) for group in dataset.by_video.values())
    numbers = f"{len(dataset.videos)} videos, {len(pictures)} frames, {tracks_count} tracks"
    counts = Check("counts", bool(pictures), numbers if dataset.annotated else f"{numbers} (no annotations)")
    visible = Check(
        "tracks",
        not unseen,
        f"track {unseen[0]} is seen in no frame" if unseen else "each is seen in at least one frame",
    )
    return (counts, _categories(dataset.categories), visible, *_pictures(pictures, deep))


def _categories(categories: Categories) -> Check:
    """Say which known table the categories are; a table with a known table's ids but other names is wrong."""
    known = {
        "YouTube-VIS 2019": YOUTUBE_VIS_2019,
        "YouTube-VIS 2021": YOUTUBE_VIS_2021,
    }
    for title, names in known.items():
        if categories.ids == tuple(range(1, 41)) and categories.names == names:
            return Check("categories", True, f"the 40 of {title}")
    if categories.ids == tuple(range(1, 41)) and set(categories.names) & set(YOUTUBE_VIS_2019 + YOUTUBE_VIS_2021):
        return Check("categories", False, "40 as in YouTube-VIS, but neither the 2019 nor the 2021 table")
    if set(categories.ids) == set(range(1, 91)) - COCO_UNUSED_IDS:
        return Check("categories", True, "the 80 of COCO")
    return Check("categories", True, f"{len(categories)}: {', '.join(categories.names[:6])}")


def _sample(pictures: Sequence[_Picture], deep: bool) -> list[_Picture]:
    if deep or len(pictures) <= SAMPLED:
        return list(pictures)
    return [pictures[k * len(pictures) // SAMPLED] for k in range(SAMPLED)]


def _pictures(pictures: Sequence[_Picture], deep: bool) -> tuple[Check, ...]:
    absent = [picture.name for picture in pictures if not picture.path.is_file()]
    present = Check(
        "files", not absent, f"{len(absent)} are missing, first {absent[0]}" if absent else f"all {len(pictures)} there"
    )
    chosen = [picture for picture in _sample(pictures, deep) if picture.path.is_file()]
    if not chosen:  # a check that looked at nothing is not passed
        unseen = "none looked at, since no file is there"
        return (present, Check("images", False, unseen), Check("masks", False, unseen))
    with track("health check", 2 * len(chosen)) as step:
        sizes = _each("images", chosen, _open_deeply if deep else _open, step)
        masks = _each("masks", chosen, _decode, step)
    return (present, sizes, masks)


def _each(what: str, pictures: Iterable[_Picture], look: Callable[[_Picture], int], step: Callable[[], None]) -> Check:
    faults, number = [], 0
    for picture in pictures:
        try:
            number += look(picture)
        except SuiteError as error:
            faults.append(str(error))
        step()
    if faults:
        return Check(what, False, f"{len(faults)} faults, first {faults[0]}")
    return Check(what, True, f"{number} read, all well" if number else "none to read")


def _open(picture: _Picture) -> int:
    """Read an image's header only: format and size."""
    try:
        with Image.open(picture.path) as image:
            size = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{picture.path}: cannot be read as an image ({error})") from None
    if size != (picture.width, picture.height):
        raise InputError(f"{picture.path}: is {size} pixels, its annotations say {(picture.width, picture.height)}")
    return 1


def _open_deeply(picture: _Picture) -> int:
    read_image(picture.path, (picture.height, picture.width))
    return 1


def _decode(picture: _Picture) -> int:
    number = 0
    for where, segmentation in picture.segmentations:
        mask = to_mask(segmentation, picture.height, picture.width, f"{picture.name}: {where}")
        if mask is not None:
            # Official COCO has polygons too flat to cover a pixel, two of them in train2017.
            if not mask.any() and not isinstance(segmentation, list):
                raise InputError(f"{picture.name}: {where} is an empty mask")
            number += 1
    return number

"""Health check: do annotations and images belong together, and can everything be read?

It looks at counts, categories, every file's header and size, and masks, sampled or all of them, and remembers that all
is well for as long as neither the annotations nor the image folder change.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from suite.datasets.categories import COCO_UNUSED_IDS, YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.fields import Segmentation, places_text
from suite.datasets.masks import to_mask
from suite.datasets.pictures import Size, check_pictures, named_list
from suite.datasets.state import read_notes, write_notes
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError, SuiteError
from suite.files import file_digest
from suite.progress import track

Kind = Literal["coco", "youtube-vis"]
SAMPLED = 64
MEMORY_NAME = ".health.json"
_KEPT = 50
_ALL = 10**9


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it is well, and the numbers or the faults."""

    what: str
    well: bool
    detail: str


@dataclass(frozen=True)
class Health:
    """The result of a health check.

    Attributes:
        annotations: the annotations file.
        digest: its MD5.
        deep: whether everything was decoded or only a sample.
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
        looked = "everything decoded" if self.deep else f"masks of at most {SAMPLED} pictures decoded, --deep takes all"
        return "\n".join([f"{self.annotations} (md5 {self.digest}; {looked})", *lines])


@dataclass(frozen=True)
class _Mask:
    """A segmentation, its place in the file, and the size of its frame."""

    where: str
    segmentation: Segmentation
    size: Size


def check_health(kind: Kind, annotations: Path, images: Path, deep: bool = False) -> Health:
    """Look at a dataset.

    Args:
        kind: the format of the annotations.
        annotations: the annotations file.
        images: the folder its file names start from.
        deep: decode every image and every mask, not a sample.

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
    remembered = read_notes(MEMORY_NAME).get(key)
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
    kept = dict(list(read_notes(MEMORY_NAME).items())[-_KEPT:]) | {key: {"checks": [asdict(check) for check in checks]}}
    write_notes(MEMORY_NAME, kept)
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
    objects = dataset.objects
    numbers = f"{len(dataset.images)} images, {len(objects)} objects, {int(objects.crowd.sum())} of them crowds"
    bare = objects.without_mask
    without = Check(
        "objects without a mask",
        True,
        f"{len(bare)}, left out everywhere: {places_text(bare, 'annotations', _ALL)}" if bare else "none",
    )

    def masks_of(place: int) -> list[_Mask]:
        image = dataset.images[place]
        size = image.height, image.width
        return [
            _Mask(f"annotations[{item.place}].segmentation", item.segmentation, size)
            for item in dataset.annotations_of(image.image_id)
        ]

    counts = Check("counts", bool(dataset.images), numbers)
    files = dataset.picture_files()
    return (counts, _categories(dataset.categories), without, *_pictures(files, masks_of, len(dataset.images), deep))


def _check_videos(dataset: YoutubeVisDataset, deep: bool) -> tuple[Check, ...]:
    unseen = [item.place for item in dataset.tracks if not any(item.segmentations)]
    files = dataset.picture_files()
    numbers = f"{len(dataset.videos)} videos, {len(files)} frames, {len(dataset.tracks)} tracks"
    counts = Check("counts", bool(files), numbers if dataset.annotated else f"{numbers} (no annotations)")
    visible = Check(
        "tracks",
        not unseen,
        f"{len(unseen)} are seen in no frame: {places_text(unseen, 'annotations', _ALL)}"
        if unseen
        else "each is seen in at least one frame",
    )
    frames = [(video, frame) for video in dataset.videos for frame in range(video.length)]

    def masks_of(place: int) -> list[_Mask]:
        video, frame = frames[place]
        size = video.height, video.width
        return [
            _Mask(f"annotations[{item.place}].segmentations[{frame}]", item.segmentations[frame], size)
            for item in dataset.tracks_of(video.video_id)
        ]

    return (counts, _categories(dataset.categories), visible, *_pictures(files, masks_of, len(frames), deep))


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


def _pictures(
    files: Sequence[tuple[Path, Size]], masks_of: Callable[[int], list[_Mask]], count: int, deep: bool
) -> tuple[Check, ...]:
    """Check every file, and the masks of all pictures or of a sample."""
    found = check_pictures(files, deep, "health check: pictures")
    read = len(files) - len(found.missing) - len(found.bad)
    some = bool(files)  # a check that looked at nothing is not passed
    missing = f"{len(found.missing)} are missing: {named_list(found.missing, 'others')}"
    bad = f"{len(found.bad)} faults: {named_list(found.bad, 'others')}"
    cautions = f"; caution: {named_list(found.cautions, 'such pictures')}" if found.cautions else ""
    places = range(count) if deep or count <= SAMPLED else [k * count // SAMPLED for k in range(SAMPLED)]
    faults, decoded = [], 0
    with track("health check: masks", len(places)) as step:
        for place in places:
            for mask in masks_of(place):
                try:
                    decoded += _decode(mask)
                except SuiteError as error:
                    faults.append(str(error))
            step()
    masks = f"{decoded} read, all well" if decoded else "none to read"
    return (
        Check("files", some and not found.missing, missing if found.missing else f"all {len(files)} there"),
        Check("images", read > 0 and not found.bad, bad if found.bad else f"{read} read, all well{cautions}"),
        Check("masks", not faults, f"{len(faults)} faults: {named_list(faults, 'others')}" if faults else masks),
    )


def _decode(item: _Mask) -> int:
    mask = to_mask(item.segmentation, *item.size, item.where)
    if mask is None:
        return 0
    # Official COCO has polygons too flat to cover a pixel, two of them in train2017.
    if not mask.any() and not isinstance(item.segmentation, list):
        raise InputError(f"{item.where}: is an empty mask; encode it again or remove the object")
    return 1

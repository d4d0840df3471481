"""Health check: do annotations and images belong together, and can everything be read?

It looks at counts, categories, every file's header and size, and masks, sampled or all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.datasets.annotations import Segmentation
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import to_mask
from suite.datasets.pictures import NAMED, Size, check_pictures
from suite.datasets.pins import Task
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.errors import DataError, InputError, SuiteError, first_few
from suite.files import file_digest
from suite.progress import track

SAMPLED = 64


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what, whether it is well, and the numbers or the faults."""

    what: str
    well: bool
    detail: str


@dataclass(frozen=True)
class Health:
    """What was looked at in an annotations file (with its MD5) and its pictures: all of them, or a sample."""

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
        lines = [
            f"{'ok ' if c.well else 'BAD'}  {c.what.ljust(width)}  {' '.join(c.detail.splitlines())}"
            for c in self.checks
        ]
        looked = "everything decoded" if self.deep else f"masks of at most {SAMPLED} pictures decoded, --deep takes all"
        return "\n".join([f"{self.annotations} (md5 {self.digest}; {looked})", *lines])


def check_health(task: Task, annotations: Path, images: Path, deep: bool = False) -> Health:
    """Look at a dataset.

    Args:
        task: the format of the annotations.
        annotations: the annotations file.
        images: the folder its file names start from.
        deep: decode every image and every mask, not a sample.

    Raises:
        DataError: if the file or the folder is absent.
        InputError: if the annotations cannot be read at all.
    """
    kind: type[CocoDataset | YoutubeVisDataset] = CocoDataset if task == "coco" else YoutubeVisDataset
    dataset = kind.load(annotations, images)
    counts, objects = _coco(dataset) if isinstance(dataset, CocoDataset) else _videos(dataset)
    categories = Check("categories", True, f"{len(dataset.categories)}: {first_few(dataset.categories.names)}")
    checks = (counts, categories, objects, *_pictures(dataset, deep))
    return Health(str(annotations), file_digest(annotations, "md5"), deep, checks)


def require_health(task: Task, annotations: Path, images: Path) -> Health:
    """Do a sampled health check; DataError names the first fault of a dataset that is not well."""
    health = check_health(task, annotations, images)
    for check in health.checks:
        if not check.well:
            raise DataError(
                f"{annotations}: {check.what}: {check.detail}; repair the dataset, or remove the folder that was "
                "unpacked and run 'data fetch'"
            )
    return health


def _places(entries: Sequence[int]) -> str:
    return ", ".join(f"annotations[{place}]" for place in entries)


def _named(messages: Sequence[str]) -> str:
    return first_few(messages, NAMED, "; ")


def _coco(dataset: CocoDataset) -> tuple[Check, Check]:
    objects, bare = dataset.objects, dataset.objects.without_mask
    numbers = f"{len(dataset.images)} images, {len(objects)} objects, {int(objects.crowd.sum())} of them crowds"
    left_out = f"{len(bare)}, left out everywhere: {_places(bare)}" if bare else "none"
    return Check("counts", bool(dataset.images), numbers), Check("objects without a mask", True, left_out)


def _videos(dataset: YoutubeVisDataset) -> tuple[Check, Check]:
    unseen = [item.place for item in dataset.tracks if not any(item.segmentations)]
    numbers = f"{len(dataset.videos)} videos, {len(dataset.frames)} frames, {len(dataset.tracks)} tracks"
    seen = "each is seen in at least one frame"
    if unseen:
        seen = f"{len(unseen)} are seen in no frame: {_places(unseen)}"
    counts = Check("counts", bool(dataset.frames), numbers if dataset.annotated else f"{numbers} (no annotations)")
    return counts, Check("tracks", not unseen, seen)


def _pictures(dataset: CocoDataset | YoutubeVisDataset, deep: bool) -> tuple[Check, ...]:
    """Check every file, and the masks of all pictures or of a sample."""
    files = dataset.picture_files()
    found = check_pictures(files, deep, "health check: pictures")
    read = len(files) - len(found.missing) - len(found.bad)
    some = bool(files)  # a check that looked at nothing is not passed
    missing = f"{len(found.missing)} are missing: {_named(found.missing)}"
    bad = f"{len(found.bad)} faults: {_named(found.bad)}"
    cautions = f"; caution: {_named(found.cautions)}" if found.cautions else ""
    count = len(files)
    places = range(count) if deep or count <= SAMPLED else [k * count // SAMPLED for k in range(SAMPLED)]
    faults, decoded = [], 0
    with track("health check: masks", len(places)) as step:
        for place in places:
            for where, segmentation in dataset.masks_of(place):
                try:
                    decoded += _decode(segmentation, files[place][1], where)
                except SuiteError as error:
                    faults.append(str(error))
            step()
    masks = f"{decoded} read, all well" if decoded else "none to read"
    return (
        Check("files", some and not found.missing, missing if found.missing else f"all {len(files)} there"),
        Check("images", read > 0 and not found.bad, bad if found.bad else f"{read} read, all well{cautions}"),
        Check("masks", not faults, f"{len(faults)} faults: {_named(faults)}" if faults else masks),
    )


def _decode(segmentation: Segmentation, size: Size, where: str) -> int:
    """Return 1 for a mask that can be read and 0 for an absent one."""
    mask = to_mask(segmentation, *size, where)
    if mask is None:
        return 0
    # Official COCO has polygons too flat to cover a pixel, two of them in train2017.
    if not mask.any() and not isinstance(segmentation, list):
        raise InputError(f"{where}: is an empty mask; encode it again or remove the object")
    return 1

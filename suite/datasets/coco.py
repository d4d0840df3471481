"""The reader of COCO files: annotations as columns, and results.

Everything that reads COCO files reads them here, so that what one command accepts no other refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.datasets.annotations import (
    AnnotationsFile,
    Area,
    Document,
    Flag,
    Number,
    RawId,
    Segmentation,
    check_name,
    read_columns,
    read_document,
    read_ids,
    read_size,
    references,
)
from suite.datasets.categories import Categories, Id
from suite.datasets.masks import Codes, collection_paused, compress, is_absent
from suite.datasets.pictures import read_picture
from suite.errors import InputError, first_few
from suite.typed import read_typed


class _Image(msgspec.Struct, frozen=True, gc=False):
    id: RawId
    height: Number
    width: Number
    file_name: str | None = None


class _Annotation(msgspec.Struct, frozen=True, gc=False):
    id: RawId
    image_id: RawId
    category_id: RawId
    segmentation: Segmentation = None
    area: Area = None
    iscrowd: Flag = None


class _ImageFile(Document, frozen=True):
    images: list[_Image]


class _AnnotationFile(_ImageFile, frozen=True):
    annotations: list[_Annotation] | None = None


class _Result(msgspec.Struct, frozen=True, gc=False):
    image_id: RawId
    category_id: RawId
    score: float
    segmentation: Segmentation
    bbox: list[float] | None = None


@dataclass(frozen=True)
class CocoImage:
    """One image: its id, file name relative to the image folder (None where the file has none), and size in pixels."""

    image_id: Id
    file_name: str | None
    height: int
    width: int


@dataclass(frozen=True)
class Objects:
    """The N annotated objects of a COCO file, column by column, in file order; objects without a mask are left out.

    Attributes:
        places: (N,) number of each one's entry in the file's ``annotations``.
        ids: annotation ids.
        image: (N,) place of each one's image in the file's ``images``.
        class_index: (N,) class of each.
        areas: (N,) square pixels as in the file, NaN where it gives none.
        crowd: (N,) whether it marks a crowd.
        segmentations: as in the file.
        without_mask: entries of ``annotations`` that hold no mask.
    """

    places: NDArray[np.int64]
    ids: list[Id]
    image: NDArray[np.int64]
    class_index: NDArray[np.int64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    segmentations: list[Segmentation]
    without_mask: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class CocoDataset(AnnotationsFile):
    """A COCO instances file.

    Attributes:
        images: in the file's order.
        objects: the annotated objects; none where ``annotated`` is False.
    """

    images: tuple[CocoImage, ...]
    objects: Objects

    @classmethod
    def load(cls, annotations: Path, images: Path | None = None, truth: bool = True) -> CocoDataset:
        """Read and check an annotations file; the images themselves are not opened.

        Args:
            annotations: a COCO instances JSON; ``annotations`` in it may be absent (test image info).
            images: the folder of the images, if they are going to be read.
            truth: whether to read the annotated objects; prediction needs images, sizes and categories only.

        Raises:
            DataError: if the file or the folder is absent.
            InputError: if the file is not a COCO instances file; the message names the entry.
        """
        remedy = "the annotations are not in COCO instances format"
        document, categories = read_document(annotations, images, _AnnotationFile if truth else _ImageFile, remedy)
        listed = _images(annotations, document.images, named=images is not None)
        entries = document.annotations if isinstance(document, _AnnotationFile) else None
        objects = _objects(annotations, entries or [], listed, categories)
        return cls(annotations, images, categories, entries is not None, listed, objects)

    @cached_property
    def _objects_of(self) -> list[NDArray[np.int64]]:
        return grouped(self.objects.image, len(self.images))

    @cached_property
    def places(self) -> dict[Id, int]:
        """Place in ``images`` by image id."""
        return {image.image_id: place for place, image in enumerate(self.images)}

    def rows_of(self, image_id: Id) -> list[int]:
        """Return the rows of ``objects`` of one of the file's images, in the file's order."""
        return list(self._objects_of[self.places[image_id]].tolist())

    def masks_of(self, picture: int) -> list[tuple[str, Segmentation]]:
        """Return the place in the file and the segmentation of every object in an entry of `picture_files`."""
        rows = self._objects_of[picture].tolist()
        return [(self.mask_place(row), self.objects.segmentations[row]) for row in rows]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) in pixels of every image."""
        return [(image.height, image.width) for image in self.images]

    @cached_property
    def codes(self) -> Codes:
        """The masks of all objects, compressed and checked; InputError names the entry of a bad one."""
        return compress(self.objects.segmentations, self.sizes, self.objects.image, self.path, self.mask_place)

    def mask_place(self, row: int) -> str:
        """Return the place in the file of an object's mask."""
        return f"annotations[{self.objects.places[row]}].segmentation"

    def notes(self) -> list[str]:
        """Return what a reader of numbers from these annotations must know."""
        places = [f"annotations[{place}]" for place in self.objects.without_mask]
        return [f"{len(places)} objects without a mask were left out: {first_few(places)}"] if places else []

    @property
    def crowds(self) -> NDArray[np.bool_]:
        """Whether each of ``objects`` is a crowd."""
        return self.objects.crowd

    def picture_files(self) -> list[tuple[Path, tuple[int, int]]]:
        """Return the path and the (height, width) in pixels of every image."""
        return [(self.file(image.file_name), (image.height, image.width)) for image in self.images]

    def read(self, image: CocoImage) -> NDArray[np.uint8]:
        """Return an image's pixels, (H, W, 3) uint8 RGB; raises as `suite.datasets.pictures.read_picture` does."""
        return read_picture(self.file(image.file_name), (image.height, image.width))


def grouped(column: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Return the rows of an (N,) column that have each of the values 0 to ``count`` - 1, ascending."""
    order = np.argsort(column, kind="stable")
    return np.split(order, np.searchsorted(column[order], np.arange(1, count)))


def _images(path: Path, entries: list[_Image], named: bool) -> tuple[CocoImage, ...]:
    ids = read_ids([entry.id for entry in entries], path, "images", unique=True)
    images = []
    for place, (number, entry) in enumerate(zip(ids, entries, strict=True)):
        where = f"{path}: images[{place}]"
        if entry.file_name is not None:
            check_name(entry.file_name, f"{where}.file_name")
        elif named:
            raise InputError(f"{where}: has no file_name, so its picture cannot be found; add it")
        images.append(CocoImage(number, entry.file_name, *read_size(entry.height, entry.width, where)))
    return tuple(images)


def _objects(path: Path, entries: list[_Annotation], images: tuple[CocoImage, ...], categories: Categories) -> Objects:
    places = {image.image_id: place for place, image in enumerate(images)}
    ids, image, class_index, crowd = read_columns(path, entries, ("image_id", places), categories)
    areas = np.array([np.nan if entry.area is None else entry.area for entry in entries], np.float64)
    absent = [place for place, entry in enumerate(entries) if is_absent(entry.segmentation)]
    here = np.delete(np.arange(len(entries)), absent)
    kept = here.tolist()
    return Objects(
        places=here,
        ids=[ids[place] for place in kept],
        image=image[here],
        class_index=class_index[here],
        areas=areas[here],
        crowd=crowd[here],
        segmentations=[entries[place].segmentation for place in kept],
        without_mask=tuple(absent),
    )


@dataclass(frozen=True)
class Detections:
    """The N results of a COCO file, column by column, in file order.

    Attributes:
        image: (N,) place of each one's image in the dataset's ``images``.
        class_index: (N,) class of each.
        scores: (N,) confidences.
        codes: masks.
        box_areas: (N,) square pixels of the boxes, where the file carries boxes.
    """

    image: NDArray[np.int64]
    class_index: NDArray[np.int64]
    scores: NDArray[np.float64]
    codes: Codes
    box_areas: NDArray[np.float64] | None

    @cached_property
    def areas_px(self) -> NDArray[np.float64]:
        """Areas that decide small, medium and large, as in pycocotools: the boxes' where there are boxes."""
        return self.codes.areas_px.astype(np.float64) if self.box_areas is None else self.box_areas


def _box_areas(path: Path, results: list[_Result]) -> NDArray[np.float64] | None:
    """Return box areas where the first result carries a box, which is how pycocotools decides for the whole file."""
    if not results or not results[0].bbox:
        return None
    areas = np.empty(len(results))
    for place, result in enumerate(results):
        if result.bbox is None or len(result.bbox) != 4:
            raise InputError(
                f"{path}: results[{place}].bbox: the first result has a box, so each needs one of 4 numbers; "
                "complete or remove them all"
            )
        areas[place] = result.bbox[2] * result.bbox[3]
        if not math.isfinite(areas[place]):
            raise InputError(f"{path}: results[{place}].bbox: its area is not finite; correct it")
    return areas


@collection_paused()
def read_detections(path: Path, dataset: CocoDataset) -> Detections:
    """Read a COCO results file (``.json`` or ``.json.gz``) that is for the images of a dataset.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, an image or category that the annotations do not have,
            or a mask that is damaged or of another size than its image.
    """
    remedy = "a result needs image_id, category_id, score and segmentation"
    results = read_typed(path, list[_Result], "results file", remedy, "results")
    remedy = f"these results are not for {dataset.path.name}"
    images = ("image_id", dataset.places)
    image, class_index = references(path, "results", results, images, dataset.categories, remedy)
    codes = compress(
        [result.segmentation for result in results],
        dataset.sizes,
        image,
        path,
        lambda index: f"results[{index}].segmentation",
    )
    scores = np.fromiter(map(attrgetter("score"), results), np.float64, len(results))
    return Detections(image, class_index, scores, codes, _box_areas(path, results))

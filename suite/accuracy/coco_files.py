"""COCO annotation and results files as the scorers need them, every id, number and mask checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from suite.accuracy.score import Category
from suite.accuracy.segmentations import Codes, compress
from suite.accuracy.typed_json import Id, Segmentation, Side
from suite.errors import InputError
from suite.typed import read_typed

BOX_AREA_NOTE = (
    "the results carry boxes, so their areas for APs, APm, APl and ARs, ARm, ARl are those of the boxes, "
    "as in pycocotools; remove 'bbox' to use the masks"
)
ZERO_ID_NOTE = (
    "annotation id 0: the official evaluator counts every match with it as a false positive; number annotations from 1"
)


class _Image(msgspec.Struct, frozen=True):
    id: Id
    height: Side
    width: Side


class _Category(msgspec.Struct, frozen=True):
    id: Id
    name: str | None = None


class _Annotation(msgspec.Struct, frozen=True):
    id: Id
    image_id: Id
    category_id: Id
    segmentation: Segmentation
    area: float
    iscrowd: int | bool


class _AnnotationFile(msgspec.Struct, frozen=True):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[_Annotation] | None = None


class _Result(msgspec.Struct, frozen=True, gc=False):
    image_id: Id
    category_id: Id
    score: float
    segmentation: Segmentation
    bbox: list[float] | None = None


@dataclass(frozen=True)
class ImageTable:
    """The images of a COCO file, (height, width) in pixels by id, and its categories by ascending id."""

    path: Path
    image_sizes: dict[int, tuple[int, int]]
    categories: tuple[Category, ...]


@dataclass(frozen=True)
class GroundTruth(ImageTable):
    """The annotated objects of a COCO file, column by column, in file order."""

    ids: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    codes: Codes


@dataclass(frozen=True)
class Detections:
    """The results of a COCO file, column by column, in file order; ``box_areas`` where the file carries boxes."""

    path: Path
    image_ids: NDArray[np.int64]
    category_ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    codes: Codes
    box_areas: NDArray[np.float64] | None


def refuse_duplicates(ids: Iterable[int], path: Path, root: str) -> None:
    """Raise InputError naming the first id of ``root`` that an earlier entry has already."""
    seen: dict[int, int] = {}
    for place, number in enumerate(ids):
        if number in seen:
            raise InputError(
                f"{path}: {root}[{place}].id: {number} is the id of {root}[{seen[number]}] too; renumber one"
            )
        seen[number] = place


def named_categories(pairs: Iterable[tuple[int, str | None]], path: Path) -> tuple[Category, ...]:
    """Return the categories in ascending order of id; one without a name is called by its id."""
    categories = [Category(number, name if name is not None else str(number)) for number, name in pairs]
    refuse_duplicates((category.id for category in categories), path, "categories")
    return tuple(sorted(categories, key=lambda category: category.id))


def require_known(number: int, known: Iterable[int], where: str, what: str, remedy: str) -> None:
    """Raise InputError unless ``number`` is one of ``known``."""
    if number not in known:
        raise InputError(f"{where}: unknown {what} {number}; {remedy}")


def crowd_flag(value: int | bool, where: str) -> bool:
    """Return ``iscrowd`` as a flag; only 0 and 1 are accepted."""
    if value not in (0, 1):
        raise InputError(f"{where}.iscrowd: {value} is neither 0 nor 1; correct it")
    return bool(value)


def no_ground_truth(path: Path) -> InputError:
    """Return the error for an annotations file without annotations, such as the published ones of test splits."""
    return InputError(
        f"{path}: no 'annotations', so there is nothing to score against; the ground truth of test splits (and of "
        "YouTube-VIS valid) is not public, give a split that has it"
    )


def _image_table(path: Path, document: _AnnotationFile) -> ImageTable:
    refuse_duplicates((image.id for image in document.images), path, "images")
    return ImageTable(
        path=path,
        image_sizes={image.id: (image.height, image.width) for image in document.images},
        categories=named_categories(((category.id, category.name) for category in document.categories), path),
    )


def _read_document(path: Path) -> _AnnotationFile:
    remedy = "the annotations are not in COCO instances format"
    return read_typed(path, _AnnotationFile, "annotations file", remedy)


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a COCO instances file (``.json`` or ``.json.gz``).

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, a duplicate or unknown id, or a bad mask.
    """
    document = _read_document(path)
    if document.annotations is None:
        raise no_ground_truth(path)
    annotations = document.annotations
    table = _image_table(path, document)
    refuse_duplicates((annotation.id for annotation in annotations), path, "annotations")
    image_sizes, category_ids = table.image_sizes, {category.id for category in table.categories}
    for place, annotation in enumerate(annotations):
        where = f"{path}: annotations[{place}]"
        require_known(annotation.image_id, image_sizes, f"{where}.image_id", "image", "list it under 'images'")
        require_known(
            annotation.category_id, category_ids, f"{where}.category_id", "category", "list it under 'categories'"
        )
    codes = compress(
        [annotation.segmentation for annotation in annotations],
        [image_sizes[annotation.image_id] for annotation in annotations],
        path,
        lambda index: f"annotations[{index}].segmentation",
    )
    return GroundTruth(
        path=path,
        image_sizes=image_sizes,
        categories=table.categories,
        ids=np.array([annotation.id for annotation in annotations], np.int64),
        image_ids=np.array([annotation.image_id for annotation in annotations], np.int64),
        category_ids=np.array([annotation.category_id for annotation in annotations], np.int64),
        areas=np.array([annotation.area for annotation in annotations], np.float64),
        crowd=np.array(
            [crowd_flag(a.iscrowd, f"{path}: annotations[{i}]") for i, a in enumerate(annotations)], np.bool_
        ),
        codes=codes,
    )


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


def read_detections(path: Path, table: ImageTable) -> Detections:
    """Read a COCO results file (``.json`` or ``.json.gz``) that is for the images of ``table``.

    Raises:
        DataError: if the file is absent.
        InputError: naming the place of bad JSON, a wrong type, an image or category that the annotations do not have,
            or a mask that is damaged or of another size than its image.
    """
    remedy = "a result needs image_id, category_id, score and segmentation"
    results = read_typed(path, list[_Result], "results file", remedy, "results")
    known_categories = {category.id for category in table.categories}
    annotations = table.path.name
    for place, result in enumerate(results):
        if result.image_id not in table.image_sizes or result.category_id not in known_categories:
            where = f"{path}: results[{place}]"
            remedy = f"these results are not for {annotations}"
            require_known(result.image_id, table.image_sizes, f"{where}.image_id", "image", remedy)
            require_known(result.category_id, known_categories, f"{where}.category_id", "category", remedy)
    codes = compress(
        [result.segmentation for result in results],
        [table.image_sizes[result.image_id] for result in results],
        path,
        lambda index: f"results[{index}].segmentation",
    )
    return Detections(
        path=path,
        image_ids=np.array([result.image_id for result in results], np.int64),
        category_ids=np.array([result.category_id for result in results], np.int64),
        scores=np.array([result.score for result in results], np.float64),
        codes=codes,
        box_areas=_box_areas(path, results),
    )

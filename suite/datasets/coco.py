"""Reads COCO instance annotations (a JSON file and a folder of images), with every fault named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

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
class CocoImage:
    """One image: its dataset id, file name relative to the image folder, and size in pixels."""

    image_id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class CocoAnnotation:
    """One object of one image.

    Attributes:
        annotation_id: the annotation's id in the file.
        image_id: the image's id in the file.
        class_index: contiguous class index, 0..number of categories - 1.
        segmentation: polygons or run-length encoding as in the file; `suite.datasets.masks.to_mask` reads it.
        area: area in pixels as the file gives it (decides small, medium and large).
        box: (x, y, width, height) in pixels.
        iscrowd: whether it marks a crowd, which is neither trained on nor scored as one object.
    """

    annotation_id: int
    image_id: int
    class_index: int
    segmentation: Any
    area: float
    box: tuple[float, float, float, float]
    iscrowd: bool


@dataclass(frozen=True)
class CocoDataset:
    """A COCO instances file.

    Attributes:
        path: the annotations file.
        image_folder: where the file names of the images start, or None.
        images: in the file's order.
        categories: contiguous class index <-> dataset category id <-> name.
    """

    path: Path
    image_folder: Path | None
    images: tuple[CocoImage, ...]
    categories: Categories
    by_image: Mapping[int, tuple[CocoAnnotation, ...]]

    @classmethod
    def load(cls, annotations: Path, images: Path | None = None) -> CocoDataset:
        """Read and check an annotations file; the images themselves are not opened.

        Args:
            annotations: a COCO instances JSON; ``annotations`` in it may be absent (test image info).
            images: the folder of the images, if they are going to be read.

        Raises:
            DataError: if the file or the folder is absent.
            InputError: if the file is not a COCO instances file; the message names the entry.
        """
        if images is not None and not images.is_dir():
            raise DataError(f"{images}: no such image folder; check the path")
        content = read_object(annotations, "COCO annotations file")
        categories = read_categories(annotations, content)
        listed = tuple(_image(annotations, place, entry) for place, entry in objects(annotations, content, "images"))
        unique(annotations, "images", (image.image_id for image in listed))
        known = {image.image_id for image in listed}
        grouped: dict[int, list[CocoAnnotation]] = {image_id: [] for image_id in known}
        entries = list(objects(annotations, content, "annotations", optional=True))
        unique(annotations, "annotations", (integer(annotations, place, entry, "id") for place, entry in entries))
        for place, entry in entries:
            annotation = _annotation(annotations, place, entry, categories, known)
            grouped[annotation.image_id].append(annotation)
        by_image = {image_id: tuple(group) for image_id, group in grouped.items()}
        return cls(annotations, images, listed, categories, by_image)

    def annotations_of(self, image_id: int) -> tuple[CocoAnnotation, ...]:
        """Return the objects of an image, in the file's order.

        Raises:
            InputError: if the file has no such image.
        """
        if image_id not in self.by_image:
            raise InputError(f"{self.path}: has no image with id {image_id}; is it another dataset's id?")
        return self.by_image[image_id]

    def image_path(self, image: CocoImage) -> Path:
        """Return where an image's file is.

        Raises:
            InputError: if the dataset was loaded without an image folder.
        """
        if self.image_folder is None:
            raise InputError(f"{self.path}: loaded without its image folder; name it (--images)")
        return self.image_folder / image.file_name

    def read(self, image: CocoImage) -> NDArray[np.uint8]:
        """Return an image's pixels, (H, W, 3) uint8 RGB.

        Raises:
            DataError: if the file is absent.
            InputError: if it is not an image or not of the size the annotations give.
        """
        return read_image(self.image_path(image), (image.height, image.width))


def _image(path: Path, place: str, entry: dict[str, Any]) -> CocoImage:
    return CocoImage(
        image_id=integer(path, place, entry, "id"),
        file_name=relative_name(path, place, "file_name", member(path, place, entry, "file_name")),
        height=positive(path, place, entry, "height"),
        width=positive(path, place, entry, "width"),
    )


def _annotation(
    path: Path, place: str, entry: dict[str, Any], categories: Categories, known: Iterable[int]
) -> CocoAnnotation:
    image_id = integer(path, place, entry, "image_id")
    if image_id not in known:
        raise InputError(f"{path}: {place}.image_id {image_id} is not among the file's images; correct or remove it")
    area, box = member(path, place, entry, "area"), member(path, place, entry, "bbox")
    numbers = [area, *box] if isinstance(box, list) and len(box) == 4 else [None]
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise InputError(f"{path}: {place} needs a number 'area' and a 'bbox' of four numbers; correct it")
    segmentation = member(path, place, entry, "segmentation")
    if not isinstance(segmentation, list | dict):
        raise InputError(f"{path}: {place}.segmentation must be polygons or run-length encoding; correct it")
    return CocoAnnotation(
        annotation_id=integer(path, place, entry, "id"),
        image_id=image_id,
        class_index=categories.index_of(path, place, integer(path, place, entry, "category_id")),
        segmentation=segmentation,
        area=float(area),
        box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        iscrowd=boolean_flag(path, place, entry, "iscrowd"),
    )


def read_image(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """Read an image file as RGB.

    Args:
        path: any format Pillow reads; grey and palette images become RGB.
        size: the (height, width) it must have, or None.

    Returns:
        (H, W, 3) uint8, a writable array.

    Raises:
        DataError: if the file is absent.
        InputError: if it cannot be decoded or has another size.
    """
    try:
        with Image.open(path) as image:
            pixels = np.array(image.convert("RGB"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such image; check the image folder") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); copy or download it again") from None
    if size is not None and pixels.shape[:2] != size:
        raise InputError(
            f"{path}: is {pixels.shape[1]}x{pixels.shape[0]} pixels but its annotations say {size[1]}x{size[0]}; "
            "is the folder another dataset's?"
        )
    return pixels

"""Using a trained MobileInst from Python: load a checkpoint, segment a picture, track a video."""

from __future__ import annotations

import colorsys
import json
import logging
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from reference_model.config import CheckpointError, find_checkpoint
from reference_model.images import Detection, ImageError, Thresholds, detect
from reference_model.mobileinst import MobileInst
from reference_model.tracking import OnlineTracker, TrackedInstance
from reference_model.video_file import check_end, open_video
from reference_model.weights import load_checkpoint

if TYPE_CHECKING:
    import supervision
    from PIL.Image import Image

_log = logging.getLogger(__name__)

SCORE = 0.3
"""Smallest score that is shown unless the caller says otherwise; scoring AP needs 0.005."""
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Of files; Pillow would open others by starting programs."""
OPACITY = 0.45
GOLDEN_RATIO = 0.618034


class Category(NamedTuple):
    """A category of the data that a model was trained on: its id in annotations and results files, and its name."""

    id: int | str
    name: str


@dataclass(frozen=True, eq=False)
class Result:
    """The K instances found in one picture, best first.

    Attributes:
        image: (H, W, 3) uint8 RGB, the picture.
        masks: (K, H, W) bool.
        class_indices: (K,) int64 in [0, number of classes).
        class_names: K names.
        scores: (K,) float32 in (0, 1).
        track_ids: (K,) int64, the same number for the same object in every frame; None for a single picture.
        frame_index: of the frame in its video, from 0; None for a single picture.
        categories: of the model; empty where its checkpoint has none.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    class_indices: NDArray[np.int64]
    class_names: list[str]
    scores: NDArray[np.float32]
    track_ids: NDArray[np.int64] | None = None
    frame_index: int | None = None
    categories: tuple[Category, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def boxes(self) -> NDArray[np.int64]:
        """Boxes around the masks, (K, 4): left, top, and right and bottom one pixel beyond the mask, in pixels."""
        boxes = np.zeros((len(self), 4), np.int64)
        for box, mask in zip(boxes, self.masks, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
        return boxes

    def plot(self) -> Image:
        """Return the picture with masks, outlines, class names and scores drawn on it; tracks have their own colour."""
        from PIL import Image, ImageDraw

        canvas = self.image.astype(np.float32)
        labels = []
        for place in reversed(range(len(self))):  # the best on top
            mask = self.masks[place]
            identity = place if self.track_ids is None else int(self.track_ids[place])
            colour = _colour(identity)
            canvas[mask] = (1 - OPACITY) * canvas[mask] + OPACITY * np.array(colour)
            inner = mask.copy()
            inner[1:] &= mask[:-1]
            inner[:-1] &= mask[1:]
            inner[:, 1:] &= mask[:, :-1]
            inner[:, :-1] &= mask[:, 1:]
            canvas[mask & ~inner] = colour
            number = "" if self.track_ids is None else f"#{identity} "
            labels.append((self.boxes[place], f"{number}{self.class_names[place]} {self.scores[place]:.2f}", colour))
        picture = Image.fromarray(canvas.round().astype(np.uint8))
        draw = ImageDraw.Draw(picture)
        for (left, top, _, _), text, colour in labels:
            _, _, text_width, _ = draw.textbbox((0, 0), text)
            corner = (max(0, min(int(left), picture.width - int(text_width))), int(top))
            draw.rectangle(draw.textbbox(corner, text), fill=colour)
            draw.text(corner, text, fill=(0, 0, 0))
        return picture

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Return the instances as entries of a COCO results file: compressed run lengths, the dataset's category ids.

        Args:
            image_id: of the picture in the dataset.

        Raises:
            ValueError: if the model's checkpoint carries no category ids.
        """
        from pycocotools import mask as coco_mask

        if not self.categories:
            raise ValueError("the checkpoint carries no category ids; save it again with its dataset's categories")
        masks = coco_mask.encode(np.asfortranarray(self.masks.transpose(1, 2, 0), np.uint8))
        return [
            {
                "image_id": image_id,
                "category_id": self.categories[class_index].id,
                "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")},
                "score": float(score),
            }
            for class_index, score, encoded in zip(self.class_indices, self.scores, masks, strict=True)
        ]

    def to_supervision(self) -> supervision.Detections:
        """Return the instances as ``supervision.Detections``, for its annotators, trackers and zones.

        Raises:
            ImportError: if supervision is not installed.
        """
        import supervision

        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32),
            mask=self.masks,
            confidence=self.scores,
            class_id=self.class_indices,
            tracker_id=self.track_ids,
            data={"class_name": np.array(self.class_names, dtype=str)},
        )


class Model:
    """A trained MobileInst with the names of its classes.

    Args:
        network: is put into evaluation mode.
        categories: one for each class, or empty: then names are ``class 0`` and so on.

    Attributes:
        network: the `MobileInst`.
        config: its configuration.
        categories: as given.
        class_names: one for each class.
    """

    def __init__(self, network: MobileInst, categories: Sequence[Category] = ()) -> None:
        self.network, self.config = network.eval(), network.config
        self.categories = tuple(categories)
        self.class_names = [category.name for category in self.categories] or [
            f"class {index}" for index in range(self.config.num_classes)
        ]

    def to(self, device: str | torch.device) -> Model:
        """Move the network to a device, e.g. ``"cuda"``, and return the model."""
        self.network.to(device)
        return self

    def __call__(
        self,
        image: str | Path | NDArray[np.uint8] | Image,
        score: float = SCORE,
        max_instances: int = 100,
        mask_threshold: float = 0.45,
    ) -> Result:
        """Segment one picture.

        Args:
            image: a file, a Pillow image (both are turned upright as their EXIF data say), or (H, W, 3) uint8 RGB.
            score: instances score above this, in [0, 1).
            max_instances: at most so many instances, the best.
            mask_threshold: probability above which a pixel belongs to a mask, in (0, 1).

        Raises:
            ImageError: if the picture cannot be read or is not 8-bit RGB.
            ValueError: if a threshold is out of its range.
        """
        picture, thresholds = _as_array(image), _thresholds(score, mask_threshold, max_instances)
        return self._result(picture, detect(self.network, picture, self.config, thresholds), score)

    def track(
        self,
        video: str | Path | Iterable[NDArray[np.uint8] | Image],
        key_frame_interval: int = 3,
        association: bool = True,
        score: float = SCORE,
        max_instances: int = 100,
        mask_threshold: float = 0.45,
    ) -> Iterator[Result]:
        """Track the instances of a video, frame by frame as the frames come.

        Args:
            video: a file that OpenCV reads, or frames (H, W, 3) uint8 RGB or Pillow images, all of one size.
            key_frame_interval: T; queries are decoded on every T-th frame, the frames between reuse their kernels.
            association: whether the queries of a key frame are matched with those of the key frame before.
            score: tracks are shown where their score is above this, in [0, 1).
            max_instances: at most so many instances a frame, the best.
            mask_threshold: probability above which a pixel belongs to a mask, in (0, 1).

        Yields:
            One result a frame; scores are means over the key frames so far.

        Raises:
            ImageError: if the video cannot be opened or ends early, or a frame is not 8-bit RGB.
            TrackingError: if the frames' sizes differ, or the interval is not positive.
            ValueError: if a threshold is out of its range, or the interval no whole number.
        """
        thresholds, interval = _thresholds(score, mask_threshold, max_instances), _whole(key_frame_interval)
        tracker = OnlineTracker(self.network, self.config, interval, association, thresholds=thresholds)
        frames = _read_video(Path(video)) if isinstance(video, str | Path) else video
        for index, frame in enumerate(frames):
            picture = _as_array(frame)
            seen = tracker.push(picture).instances
            yield self._result(picture, seen, score, index)

    def _result(
        self,
        image: NDArray[np.uint8],
        found: Sequence[Detection],
        score: float,
        frame_index: int | None = None,
    ) -> Result:
        """Return those of the detections of a picture, or the tracked instances of a frame, that score above a limit.

        The network's thresholds look at class and objectness of one key frame; the score that is returned also counts
        how sure the mask is, and in a video is a mean over key frames.
        """
        found = [one for one in found if one.score > score]
        tracks = [one.track_index for one in found if isinstance(one, TrackedInstance)]
        classes = np.array([one.class_index for one in found], np.int64)
        return Result(
            image=image,
            masks=np.array([one.mask for one in found], bool).reshape(len(found), *image.shape[:2]),
            class_indices=classes,
            class_names=[self.class_names[index] for index in classes],
            scores=np.array([one.score for one in found], np.float32),
            track_ids=None if frame_index is None else np.array(tracks, np.int64),
            frame_index=frame_index,
            categories=self.categories,
        )


def load(checkpoint: str | Path, device: str | torch.device = "cpu") -> Model:
    """Load a trained model.

    Args:
        checkpoint: a ``.safetensors`` file that the suite's training, or `save_checkpoint`, wrote; a Hugging Face
            repository, ``"user/repo"``; or ``"shapes"``, the package's own, which know six drawn shapes alone.
        device: where it runs, e.g. ``"cuda"``.

    Raises:
        CheckpointError: if the file or repository is absent, damaged or no MobileInst checkpoint.
        ModuleNotFoundError: if a repository is named and huggingface_hub is not installed.
    """
    path = find_checkpoint(checkpoint)
    network, metadata = load_checkpoint(path)
    return Model(network, _categories(path, metadata, network.config.num_classes)).to(device)


def _categories(path: Path, metadata: Mapping[str, str], classes: int) -> tuple[Category, ...]:
    """Return what a checkpoint's metadata say of its classes, ``{"ids": [...], "names": [...]}``; empty if nothing."""
    if "categories" not in metadata:
        return ()
    try:
        table = json.loads(metadata["categories"])
        found = tuple(Category(*pair) for pair in zip(table["ids"], table["names"], strict=True))
    except (ValueError, KeyError, TypeError, RecursionError):
        found = ()
    good = all(type(one.id) in (int, str) and type(one.name) is str for one in found)
    if not good or len({one.id for one in found}) != classes:
        raise CheckpointError(f"{path}: its metadata hold no table of {classes} categories; write the checkpoint again")
    return found


def _as_array(image: str | Path | NDArray[np.uint8] | Image) -> NDArray[np.uint8]:
    """Return a picture as (H, W, 3) uint8 RGB of its own, files and Pillow images upright."""
    if isinstance(image, np.ndarray):
        return image.copy()  # A camera may fill its buffer again while a result is still in use.
    from PIL import Image, ImageOps

    try:
        opened = Image.open(image, formats=PICTURE_FORMATS) if isinstance(image, str | Path) else image
        upright = ImageOps.exif_transpose(opened)
        if upright.mode == "P":  # Pillow warns of palettes with transparency
            upright = upright.convert("RGBA")
        if upright.mode == "F" or upright.mode.startswith("I"):
            raise ImageError(f"{image}: has more than 8 bits a channel; reduce it to 8")
        return np.array(upright.convert("RGB"))
    except ImageError:
        raise
    except (OSError, AttributeError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageError(f"{image}: not a picture that Pillow reads ({error})") from None


def _read_video(path: Path) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of a video file, (H, W, 3) uint8 RGB."""
    capture, number = open_video(path), 0
    try:
        while (found := capture.read())[0]:
            yield np.ascontiguousarray(found[1][:, :, ::-1])
            number += 1
        if caution := check_end(path, capture, number):
            _log.warning("%s: %s", path, caution)
    finally:
        capture.release()


def _whole(value: int) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{value!r} is no whole number") from None


def _thresholds(score: float, mask: float, max_instances: int) -> Thresholds:
    """Return checked thresholds; ValueError if one is no number or out of its range."""
    try:
        return Thresholds(float(score + 0), float(mask + 0), _whole(max_instances))  # text is no number
    except TypeError:
        raise ValueError(f"score {score!r} and mask threshold {mask!r} must be numbers") from None


def _colour(identity: int) -> tuple[int, int, int]:
    """Return a light colour that belongs to a number: hues a golden angle apart, so that neighbours differ."""
    red, green, blue = colorsys.hsv_to_rgb(identity * GOLDEN_RATIO % 1, 1, 1)
    return round(80 + 175 * red), round(80 + 175 * green), round(80 + 175 * blue)

"""A model over a dataset: the official results file, written as a stream that survives a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reference_model.config import ModelConfig, config_to_dict
from reference_model.inference import Thresholds, detect
from reference_model.mobileinst import MobileInst
from reference_model.tracking import OnlineTracker
from suite.accuracy.part_file import PartFile
from suite.accuracy.prediction_protocol import PredictionProtocol
from suite.datasets.coco import CocoDataset, CocoImage
from suite.datasets.masks import encode_mask
from suite.datasets.youtube_vis import Video, YoutubeVisDataset
from suite.files import file_digest
from suite.progress import Step, track


def model_digest(model: MobileInst) -> str:
    """Return the SHA-256 of a model's configuration and weights."""
    digest = hashlib.sha256(json.dumps(config_to_dict(model.config), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()


def _identity(model: MobileInst, annotations: Path, protocol: PredictionProtocol, task: str) -> str:
    parts = [task, model_digest(model), file_digest(annotations), json.dumps(asdict(protocol), sort_keys=True)]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


@contextmanager
def _progress(title: str, total: int, done: int, quiet: bool) -> Iterator[Step]:
    with nullcontext(lambda note="", advance=1: None) if quiet else track(title, total, done) as step:
        yield step


def _score(value: float) -> float:
    """Return a float32 score as the shortest decimal that names it, so that equal scores are equal text."""
    return float(str(np.float32(value)))


def _stream(
    results: Path,
    identity: str,
    title: str,
    keys: list[int],
    predict: Callable[[int], list[dict[str, Any]]],
    quiet: bool,
) -> None:
    """Predict every key that the part file does not hold yet, then write the results file."""
    with PartFile(results, identity) as part:
        with _progress(title, len(keys), sum(key in part for key in keys), quiet) as step:
            for key in keys:
                if key not in part:
                    part.append(key, predict(key))
                    step()
        part.finish(keys)


def unusable_classes(config: ModelConfig, categories: int) -> str | None:
    """Return a caution if the model's classes cannot be the dataset's: index i is taken for the i-th category."""
    if config.num_classes == categories:
        return None
    return (
        f"{config.name} has {config.num_classes} classes and the dataset {categories}: class i was taken for the i-th "
        "category, so the AP shows that the path works and nothing else"
    )


def predict_images(
    model: MobileInst,
    config: ModelConfig,
    dataset: CocoDataset,
    results: Path,
    protocol: PredictionProtocol | None = None,
    quiet: bool = False,
) -> str | None:
    """Write the COCO results file of a model.

    A run that was killed continues where it stopped, as long as model, annotations and protocol are the same.

    Args:
        model: in evaluation mode.
        config: of the model.
        dataset: the images, with their folder.
        results: the file to write: a list of ``{image_id, category_id, segmentation (compressed RLE), score}``.
        protocol: None takes the variant's own.
        quiet: whether to show no progress.

    Returns:
        A caution that must stand beside the AP, or None.

    Raises:
        DataError: if an image is absent.
        InputError: if an image is not what the annotations say.
    """
    protocol = protocol or PredictionProtocol.of(config)
    thresholds = Thresholds(protocol.score_threshold, protocol.mask_threshold, protocol.max_detections)
    images: dict[int, CocoImage] = {image.image_id: image for image in dataset.images}
    ids = dataset.categories.ids

    def predict(key: int) -> list[dict[str, Any]]:
        return [
            {
                "image_id": key,
                "category_id": ids[found.class_index],
                "segmentation": encode_mask(found.mask),
                "score": _score(found.score),
            }
            for found in detect(model, dataset.read(images[key]), config, thresholds)
            if found.class_index < len(ids)
        ]

    _stream(results, _identity(model, dataset.path, protocol, "coco"), "predict images", list(images), predict, quiet)
    return unusable_classes(config, len(ids))


def _segmentations(masks: Iterable[np.ndarray | None]) -> list[dict[str, Any] | None]:
    return [None if mask is None else encode_mask(mask) for mask in masks]


def predict_videos(
    model: MobileInst,
    config: ModelConfig,
    dataset: YoutubeVisDataset,
    results: Path,
    protocol: PredictionProtocol | None = None,
    quiet: bool = False,
) -> str | None:
    """Write the YouTube-VIS results file of a model; arguments, resuming and errors as in `predict_images`.

    Each result is ``{video_id, category_id, score, segmentations}`` with one compressed RLE or null per frame.
    """
    protocol = protocol or PredictionProtocol.of(config)
    tracker = OnlineTracker(
        model,
        config,
        key_frame_interval=protocol.key_frame_interval,
        association=protocol.association,
        score_maskness=protocol.score_maskness,
        thresholds=Thresholds(protocol.score_threshold, protocol.mask_threshold, protocol.max_detections),
    )
    videos: dict[int, Video] = {video.video_id: video for video in dataset.videos}
    ids = dataset.categories.ids

    def predict(key: int) -> list[dict[str, Any]]:
        coded: dict[int, list[dict[str, Any] | None]] = {}
        found = []
        for item in tracker.track_video(dataset.read_frames(videos[key]), protocol.max_tracks):
            if item.class_index < len(ids):
                # Tracks of one query with different classes share their masks.
                segmentations = coded.setdefault(id(item.masks), []) or _segmentations(item.masks)
                coded[id(item.masks)] = segmentations
                found.append(
                    {
                        "video_id": key,
                        "category_id": ids[item.class_index],
                        "score": _score(item.score),
                        "segmentations": segmentations,
                    }
                )
        return found

    identity = _identity(model, dataset.path, protocol, "youtube-vis")
    _stream(results, identity, f"track videos, T = {protocol.key_frame_interval}", list(videos), predict, quiet)
    return unusable_classes(config, len(ids))

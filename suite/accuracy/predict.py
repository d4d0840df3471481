"""A model over a dataset: the official results file, written as a stream that survives a kill and can be shared out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from reference_model.images import Detection
from reference_model.tracking import Track
from suite.accuracy.part_file import (
    Results,
    finished_entries,
    line_of,
    part_file,
    part_path,
    remove_part_files,
    write_results,
)
from suite.accuracy.segmenter import Segmenter
from suite.datasets.categories import Id, map_classes
from suite.datasets.coco import CocoDataset
from suite.datasets.masks import encode_mask
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.distributed import start_processes
from suite.errors import InputError
from suite.files import file_digest, write_json
from suite.locks import exclusive
from suite.paths import shown
from suite.progress import track


def _score(value: float) -> float:
    """Return a float32 score as the shortest decimal that names it, so that equal scores are equal text."""
    return float(str(np.float32(value)))


def protocol_path(results: Path) -> Path:
    """Return the file beside a results file that says how it was made."""
    return results.with_name(f"{results.stem}.protocol.json")


def _stream(
    results: Path, identity: str, title: str, keys: list[Id], predict: Callable[[Id], Results], quiet: bool
) -> None:
    """Predict every key that no part file holds yet, each by one of the processes, then write the results file."""
    if results.is_dir():
        raise InputError(f"{shown(results)}: is a folder; name the results file in it, e.g. results.json")
    processes = start_processes()
    if len(set(processes.gather(identity))) > 1:
        raise InputError(
            f"{shown(results)}: the processes differ in model, annotations or protocol; give all of them the same"
        )
    try:
        results.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(part_path(results, processes.rank)), part_file(results, identity, processes.rank) as append:
            finished = set().union(*processes.gather(set(finished_entries(results, identity))))
            if not all(part_path(results, rank).exists() for rank in range(processes.count)):
                raise InputError(f"{shown(results)}: the processes see different folders; give them one they share")
            mine = [key for key in keys if key not in finished][processes.rank :: processes.count]
            done = len(finished) // processes.count
            with track(title, done + len(mine), done, silent=quiet or not processes.first) as step:
                for key in mine:
                    append([line_of(key, predict(key))])
                    step()
            processes.gather(None)
            if processes.first:
                write_results(results, finished_entries(results, identity), keys)
            processes.gather(None)
            remove_part_files(results)
            processes.gather(None)
    except OSError as error:
        raise InputError(f"{shown(results)}: cannot be written ({error.strerror}); check folder and space") from None


def _image_results(found: Sequence[Detection], image_id: Id, category_ids: Sequence[Id | None]) -> Results:
    """Return those detections of an image whose class has a category as entries of a COCO results file."""
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[item.class_index],
            "segmentation": encode_mask(item.mask),
            "score": _score(item.score),
        }
        for item in found
        if category_ids[item.class_index] is not None
    ]


def video_results(tracks: Sequence[Track], video_id: Id, category_ids: Sequence[Id | None]) -> Results:
    """Return those tracks of a video whose class has a category as entries of a YouTube-VIS results file."""
    # Tracks of one query with different classes share their masks.
    coded: dict[int, list[dict[str, Any] | None]] = {}
    found = []
    for item in tracks:
        if category_ids[item.class_index] is not None:
            if id(item.masks) not in coded:
                coded[id(item.masks)] = [None if mask is None else encode_mask(mask) for mask in item.masks]
            entry = {"video_id": video_id, "category_id": category_ids[item.class_index], "score": _score(item.score)}
            found.append(entry | {"segmentations": coded[id(item.masks)]})
    return found


def predict_dataset(
    segmenter: Segmenter,
    dataset: CocoDataset | YoutubeVisDataset,
    results: Path,
    quiet: bool = False,
    by_position: bool = False,
) -> str | None:
    """Write the results file of any model over images or videos.

    A run that was killed continues where it stopped, as long as model, annotations, pictures and protocol are the same.
    Under ``torchrun`` the images or videos are shared out; the file is the same however they are.

    Args:
        segmenter: the model with its protocol.
        dataset: the images or videos, with their folder.
        results: the file to write: a list of ``{image_id, category_id, segmentation, score}``, or of ``{video_id,
            category_id, score, segmentations}`` with one mask or null per frame, masks as compressed RLE; beside it,
            ``NAME.protocol.json`` says how it was made.
        quiet: whether to show no progress.
        by_position: take class i for the i-th category by id, whatever the model's categories are called.

    Returns:
        A caution that must stand beside the AP, or None.

    Raises:
        DataError: if an image is absent.
        InputError: if no class of the model is a category of the dataset, an image is not what the annotations say, or
            the file cannot be written.
    """
    task, unit, title, part = "coco", "image", "predict images", None
    if isinstance(dataset, YoutubeVisDataset):
        title = f"track videos, T = {segmenter.protocol.key_frame_interval}"
        task, unit, part = "youtube-vis", "video", dataset.part
    classes = map_classes(segmenter.categories, segmenter.num_classes, dataset.categories, segmenter.name, by_position)
    ids = classes.category_ids
    model, annotations, protocol = segmenter.digest(), file_digest(dataset.path), asdict(segmenter.protocol)
    parts = [task, model, dataset.digest(), json.dumps(protocol, sort_keys=True), json.dumps(ids), part or ""]

    def predict(key: Id) -> Results:
        try:
            if isinstance(dataset, YoutubeVisDataset):
                video = dataset.videos[dataset.places[key]]
                return video_results(segmenter.track(dataset.read_frames(video)), key, ids)
            return _image_results(segmenter.segment(dataset.read(dataset.images[dataset.places[key]])), key, ids)
        except ValueError as error:
            raise InputError(f"{dataset.path}: {unit} {key}: {error}") from None

    _stream(results, hashlib.sha256(" ".join(parts).encode()).hexdigest(), title, list(dataset.places), predict, quiet)
    caution = classes.caution or None
    if start_processes().first:
        made = {
            "results_sha256": file_digest(results),
            "task": task,
            "model": segmenter.name,
            "model_sha256": model,
            "annotations_sha256": annotations,
            "part": part,
            "protocol": segmenter.protocol.scalars(task),
            "caution": caution,
        }
        write_json(protocol_path(results), made)
    return caution

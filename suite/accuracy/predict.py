"""A model over a dataset: the official results file, written as a stream that survives a kill and can be shared out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from reference_model.tracking import Track
from suite.accuracy.part_file import PartFile, finished_entries, part_path, remove_part_files, write_results
from suite.accuracy.segmenter import ImageSegmenter, Segmenter, VideoSegmenter
from suite.datasets.categories import map_classes
from suite.datasets.coco import CocoDataset, CocoImage
from suite.datasets.fields import Id
from suite.datasets.masks import encode_mask
from suite.datasets.youtube_vis import Video, YoutubeVisDataset
from suite.distributed import Processes, start_processes
from suite.errors import InputError
from suite.files import file_digest, write_json
from suite.locks import exclusive
from suite.paths import shown
from suite.progress import track

LINES_PER_MESSAGE = 64
Results = list[dict[str, Any]]
Item = TypeVar("Item")


def _score(value: float) -> float:
    """Return a float32 score as the shortest decimal that names it, so that equal scores are equal text."""
    return float(str(np.float32(value)))


def protocol_path(results: Path) -> Path:
    """Return the file beside a results file that says how it was made."""
    return results.with_name(f"{results.stem}.protocol.json")


def _collect(results: Path, identity: str, processes: Processes, part: PartFile) -> None:
    """Bring to process 0 what only other machines see."""
    seen = processes.gather(sorted(finished_entries(results, identity)))
    known = set(seen[0])
    for rank in range(1, processes.count):
        wanted = [key for key in seen[rank] if key not in known]
        known.update(wanted)
        if processes.rank not in (0, rank):
            continue
        entries = finished_entries(results, identity) if processes.rank == rank else {}
        for start in range(0, len(wanted), LINES_PER_MESSAGE):
            if processes.rank == rank:
                processes.send([entries[key].line() for key in wanted[start : start + LINES_PER_MESSAGE]])
            else:
                part.append_lines(processes.receive(rank))


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
        with exclusive(part_path(results, processes.rank)), PartFile(results, identity, processes.rank) as part:
            finished = set().union(*processes.gather(set(finished_entries(results, identity))))
            mine = [key for key in keys if key not in finished][processes.rank :: processes.count]
            done = len(finished) // processes.count
            silent = quiet or not processes.first
            with nullcontext() if silent else track(title, done + len(mine), done) as step:
                for key in mine:
                    part.append(key, predict(key))
                    if step is not None:
                        step()
            _collect(results, identity, processes, part)
            if processes.first:
                write_results(results, finished_entries(results, identity), keys)
            processes.gather(None)
            remove_part_files(results)
            processes.gather(None)
    except OSError as error:
        raise InputError(f"{shown(results)}: cannot be written ({error.strerror}); check folder and space") from None


def _predict_all(
    segmenter: Segmenter,
    dataset: CocoDataset | YoutubeVisDataset,
    results: Path,
    title: str,
    items: Mapping[Id, Item],
    predict: Callable[[Item, Sequence[Id | None]], Results],
    quiet: bool,
    by_position: bool,
) -> str | None:
    """Write results and protocol file; return the caution that must stand beside the AP.

    ``predict`` gets an image or video and the category id of each class, None where the dataset has no such category.
    """
    task, part = ("youtube-vis", dataset.part) if isinstance(dataset, YoutubeVisDataset) else ("coco", None)
    classes = map_classes(segmenter.categories, segmenter.num_classes, dataset.categories, segmenter.name, by_position)
    model, annotations, protocol = segmenter.digest(), file_digest(dataset.path), asdict(segmenter.protocol)
    parts = [task, model, annotations, json.dumps(protocol, sort_keys=True), json.dumps(classes.category_ids)]
    parts += [] if part is None else [part]
    identity = hashlib.sha256(" ".join(parts).encode()).hexdigest()

    def named(key: Id) -> Results:
        try:
            return predict(items[key], classes.category_ids)
        except ValueError as error:
            kind = "image" if task == "coco" else "video"
            raise InputError(f"{dataset.path}: {kind} {key}: {error}") from None

    _stream(results, identity, title, list(items), named, quiet)
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


def segment_dataset(
    segmenter: ImageSegmenter,
    dataset: CocoDataset,
    results: Path,
    quiet: bool = False,
    by_position: bool = False,
) -> str | None:
    """Write the COCO results file of any model.

    A run that was killed continues where it stopped, as long as model, annotations and protocol are the same. Under
    ``torchrun`` the images are shared out; the file is the same however they are.

    Args:
        segmenter: the model with its protocol.
        dataset: the images, with their folder.
        results: the file to write: a list of ``{image_id, category_id, segmentation (compressed RLE), score}``; beside
            it, ``NAME.protocol.json`` says how it was made.
        quiet: whether to show no progress.
        by_position: take class i for the i-th category by id, whatever the model's categories are called.

    Returns:
        A caution that must stand beside the AP, or None.

    Raises:
        DataError: if an image is absent.
        InputError: if no class of the model is a category of the dataset, an image is not what the annotations say, or
            the file cannot be written.
    """

    def predict(image: CocoImage, ids: Sequence[Id | None]) -> Results:
        return [
            {
                "image_id": image.image_id,
                "category_id": ids[found.class_index],
                "segmentation": encode_mask(found.mask),
                "score": _score(found.score),
            }
            for found in segmenter.segment(dataset.read(image))
            if ids[found.class_index] is not None
        ]

    images = {image.image_id: image for image in dataset.images}
    return _predict_all(segmenter, dataset, results, "predict images", images, predict, quiet, by_position)


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


def track_dataset(
    segmenter: VideoSegmenter,
    dataset: YoutubeVisDataset,
    results: Path,
    quiet: bool = False,
    by_position: bool = False,
) -> str | None:
    """Write the YouTube-VIS results file of any model; arguments, resuming, sharing and errors as `segment_dataset`.

    Each result is ``{video_id, category_id, score, segmentations}`` with one compressed RLE or null per frame.
    """

    def predict(video: Video, ids: Sequence[Id | None]) -> Results:
        return video_results(segmenter.track(dataset.read_frames(video)), video.video_id, ids)

    title = f"track videos, T = {segmenter.protocol.key_frame_interval}"
    videos = {video.video_id: video for video in dataset.videos}
    return _predict_all(segmenter, dataset, results, title, videos, predict, quiet, by_position)

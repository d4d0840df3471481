"""The main job on real input: predict, score, record and draw with any checkpoint, on COCO or YouTube-VIS files."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal

from reference_model.config import find_checkpoint
from suite.accuracy.intervals import RESAMPLES
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.score import score_lines
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter, open_checkpoint
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets.categories import Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.health import require_health
from suite.datasets.inputs import RealInput, only_part, pinned_input
from suite.datasets.local_split import LOCAL_TRAIN, VALID_VIDEOS, list_path, make_local_split
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.drawing.detections import draw_detections
from suite.drawing.tracks import draw_track_strip, show_video
from suite.errors import InputError
from suite.files import file_digest
from suite.paths import recorded, runs_dir, shown
from suite.progress import say
from suite.records.provenance import start_run
from suite.records.schema import Artifact, Dataset, Subject
from suite.records.store import write_run
from suite.signals import stoppable
from suite.training.sources import DataPaths


def real_input(
    task: Literal["coco", "youtube-vis"],
    annotations: Path | None = None,
    images: Path | None = None,
    pin: str | None = None,
    allow_unpinned: bool = False,
    split_ids: Path | None = None,
    local_split: bool = False,
) -> RealInput:
    """Return the user's own files if both are named, the pinned data if neither is.

    Args:
        task: the format of the files.
        annotations: own annotations.
        images: folder of own images or frames.
        pin: name of the pinned data; None: the task's default.
        allow_unpinned: whether pinned data may differ from their digests.
        split_ids: only the videos of this list.
        local_split: only the videos of train that are held out by rule; their list is made where it is absent.

    Raises:
        InputError: if the arguments do not go together, or a file is not what it should be.
        DataError: if data are absent or not as pinned.
    """
    data = DataPaths(annotations, images).named(task)
    if data is None:
        data = pinned_input(task, pin, allow_unpinned)
    elif pin is not None or allow_unpinned:
        raise InputError("--pin and --allow-unpinned are for pinned data; leave them out with own files")
    if local_split:
        if split_ids is not None or data.split != "train" or data.name not in VALID_VIDEOS:
            raise InputError("--local-split is for --pin youtube_vis_2019_train or _2021_train, without --split-ids")
        split_ids = list_path(data.name)
        if not split_ids.is_file():
            make_local_split(data.name)
    return data if split_ids is None else only_part(data, split_ids)


@stoppable()
def reproduce_real(data: RealInput, checkpoint: Path | None, key_frame_interval: int = 1) -> None:
    """Predict, score, record and draw.

    Args:
        data: annotations with ground truth, and images.
        checkpoint: weights; None takes the shipped ones, whose AP on real images means nothing.
        key_frame_interval: kernel-reuse length T, for videos.

    Raises:
        DataError: if a file or folder is absent.
        InputError: if a file is not what it should be; the message names the place.
        NothingMeasuredError: if no object is scored.
        StoppedError: on SIGTERM or SIGUSR1.
    """
    task, annotations = data.task, data.annotations
    dataset: CocoDataset | YoutubeVisDataset
    if task == "coco":
        dataset = CocoDataset.load(annotations, data.images)
    else:
        dataset = YoutubeVisDataset.load(annotations, data.images)
        if data.part is not None:
            dataset = dataset.only(data.part.video_ids, data.digest)
    dataset.require_scored()
    require_health(task, annotations, data.images)
    weights = checkpoint or find_checkpoint("shapes")
    model, metadata = open_checkpoint(weights)
    config = model.config
    trained = Categories.of_checkpoint(metadata, weights, config.num_classes)
    key = hashlib.sha256(dataset.digest().encode()).hexdigest()[:8]
    folder = runs_dir() / "real" / f"{task}-{key}-{file_digest(weights)[:8]}"
    if task == "youtube-vis":
        folder /= f"T-{key_frame_interval}"
    folder.mkdir(parents=True, exist_ok=True)
    results = folder / "results.json"
    trained_on = metadata.get("dataset", "unknown data")
    subject = Subject(config.name, file_digest(weights))
    run = start_run(f"real-{task}")
    # Beside the results and not in reports/: the pictures show somebody's images, under their licences.
    picture = folder / "picture.png"
    protocol = PredictionProtocol.of(config)
    if task == "youtube-vis":
        protocol = dataclasses.replace(protocol, key_frame_interval=key_frame_interval)
    segmenter = ReferenceSegmenter(model, config, protocol, trained)
    caution = predict_dataset(segmenter, dataset, results, by_position=checkpoint is None)
    if isinstance(dataset, CocoDataset):
        amount = {"images": len(dataset.images)}
        score = score_coco(annotations, results, resamples=RESAMPLES)
        caption = draw_detections(dataset, results, picture)
    else:
        amount = {"videos": len(dataset.videos)}
        ids = data.part.video_ids if data.part else None
        score = score_youtube_vis(annotations, results, resamples=RESAMPLES, video_ids=ids)
        caption = draw_track_strip(show_video(dataset, results), picture)
    described = Dataset(data.name, data.split, data.digest, data.pinned, **amount)
    lines = score_lines(score, subject, described, {**protocol.scalars(task), "trained_on": trained_on})
    write_run(run, [*lines, Artifact(f"{task}_{key}", recorded(picture), file_digest(picture), subject, caption)])
    say(f"results {shown(results)}; picture {shown(picture)}; AP {100 * score.stats['AP']:.2f}")
    if caution:
        say(caution)
    if data.part and trained_on != f"{data.name} {LOCAL_TRAIN}":
        say(
            f"the weights were trained on {trained_on}, not on {data.name} {LOCAL_TRAIN}: they may have seen these "
            "videos, and no claim is compared with this AP"
        )
    if trained_on == "shapes":
        say("the weights were trained on the embedded shapes only: this AP shows that the path works, and nothing else")

"""Scores on the held-out frames and videos of `shapes`, in every setting, as record lines."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
from torch import Tensor

from reference_model.mobileinst import FrameFeatures, MobileInst
from suite.accuracy.error_analysis.analysis import analyse_coco, analyse_youtube_vis
from suite.accuracy.error_analysis.output import error_lines
from suite.accuracy.intervals import RESAMPLES
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.score import score_lines, stat_lines
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets import embedded
from suite.datasets.categories import Id
from suite.datasets.video_traits import videos_by_trait
from suite.files import file_digest
from suite.progress import say
from suite.records.schema import Dataset, Measurement, Scalar, Series, Subject
from suite.report.ablation import KEY_FRAME_INTERVALS, TRAIT_METRICS
from suite.reproduce.stages import Line, Stages
from suite.tracking.diagnostics import tracking_lines
from suite.training.model_card import FinishedRun

VIDEO_SETTINGS = tuple((interval, association) for association in (True, False) for interval in KEY_FRAME_INTERVALS)
"""(kernel-reuse length T, association), in the order they are scored."""


def shapes_dataset() -> Dataset:
    """Return the identity of the embedded set's held-out part for records."""
    images, videos = embedded.images("val").images, embedded.videos("val").videos
    return Dataset("shapes", "val", embedded.ensure(), True, images=len(images), videos=len(videos))


def images_results(folder: Path) -> Path:
    """Return the results file of the held-out frames in a run's folder."""
    return folder / "coco_results.json"


def videos_results(folder: Path, interval: int, association: bool) -> Path:
    """Return the results file of the held-out videos in one setting in a run's folder."""
    return folder / f"youtube_vis_results_T{interval}{'' if association else '_no_association'}.json"


def remembering(model: MobileInst) -> MobileInst:
    """Return a model with the same weights that encodes no frame twice, at 0.15 MB a frame of the embedded set."""
    seen: dict[bytes, FrameFeatures] = {}

    def encode(images: Tensor) -> FrameFeatures:
        key = hashlib.sha256(images.numpy(force=True).tobytes()).digest()
        return seen[key] if key in seen else seen.setdefault(key, model.encode(images))

    other = copy.copy(model)
    other.encode = encode  # type: ignore[method-assign]
    return other


def score_images(finished: FinishedRun, dataset: Dataset) -> list[Measurement | Series]:
    """Predict and score every held-out frame; return the record lines."""
    model, protocol = finished.result.model, PredictionProtocol.of(finished.result.model.config)
    results, truth = images_results(finished.checkpoint.parent), embedded.annotations_path("instances", "val")
    predict_dataset(ReferenceSegmenter(model, model.config, protocol), embedded.images("val"), results)
    score = score_coco(truth, results, resamples=RESAMPLES)
    say(f"held-out mask AP {100 * score.stats['AP']:.1f} (AP50 {100 * score.stats['AP50']:.1f})")
    what = (finished.subject, dataset, {**finished.protocol, **protocol.scalars("coco")})
    return [*score_lines(score, *what), *error_lines(analyse_coco(truth, results, worst=0), *what)]


@functools.cache
def _by_trait(split: str, digest: str) -> Mapping[str, frozenset[Id]]:
    """Return the videos of each trait, found once per process and version of the data."""
    del digest
    return videos_by_trait(embedded.videos(split))


def _hard_video_lines(
    results: Path, subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Measurement]:
    """Score a results file of the held-out videos on the videos of each trait alone, one line per trait.

    A line says how many videos were scored; it is null with its reason where no video has the trait.
    """
    truth, lines = embedded.annotations_path("youtube_vis", dataset.split), []
    for trait, video_ids in _by_trait(dataset.split, dataset.digest).items():
        stats = score_youtube_vis(truth, results, video_ids=video_ids).stats if video_ids else {"AP": -1.0}
        scored = msgspec.structs.replace(dataset, images=None, videos=len(video_ids))
        lines += stat_lines(stats, {"AP": TRAIT_METRICS[trait]}, subject, scored, protocol)
    return lines


def score_videos(
    finished: FinishedRun, dataset: Dataset, interval: int, association: bool
) -> list[Measurement | Series]:
    """Track and score every held-out video in one setting of `VIDEO_SETTINGS`; return the record lines."""
    truth, model = embedded.annotations_path("youtube_vis", "val"), finished.result.model
    own = PredictionProtocol.of(model.config)
    protocol = dataclasses.replace(own, key_frame_interval=interval, association=association)
    results = videos_results(finished.checkpoint.parent, interval, association)
    predict_dataset(ReferenceSegmenter(model, model.config, protocol), embedded.videos("val"), results)
    score = score_youtube_vis(truth, results, resamples=RESAMPLES)
    setting = f"T = {interval}" + ("" if association else " without association")
    say(f"video AP at {setting}: {100 * score.stats['AP']:.1f}")
    what = (finished.subject, dataset, {**finished.protocol, **protocol.scalars("youtube-vis")})
    errors = error_lines(analyse_youtube_vis(truth, results, worst=0), *what)
    return [*score_lines(score, *what), *errors, *_hard_video_lines(results, *what)]


def held_out_lines(finished: FinishedRun, stages: Stages, name: str, tracking: bool = True) -> list[Line]:
    """Return the record lines of everything that is scored on one trained model, each setting a stage of its own.

    Args:
        finished: the trained model.
        stages: of the job.
        name: of the training in it, e.g. ``"seed 0"``.
        tracking: whether every rule of association is measured too.
    """
    dataset, result = shapes_dataset(), finished.result
    finished = dataclasses.replace(finished, result=dataclasses.replace(result, model=remembering(result.model)))
    name = f"{name} {file_digest(finished.checkpoint)[:8]}"
    images = stages.lines(f"{name} images", lambda: score_images(finished, dataset))
    found: list[Line] = [*finished.record_lines(), *images]
    for interval, association in VIDEO_SETTINGS:
        setting = f"{name} videos T={interval}{'' if association else ' without association'}"
        found += stages.lines(setting, partial(score_videos, finished, dataset, interval, association))
    if tracking:
        segmenter = ReferenceSegmenter(finished.result.model, finished.result.model.config)
        what = (finished.subject, dataset, finished.protocol)
        found += stages.lines(f"{name} tracking", partial(tracking_lines, segmenter, embedded.videos("val"), *what))
    return found

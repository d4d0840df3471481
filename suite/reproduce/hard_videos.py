"""Video AP over the held-out videos of `shapes` that are hard to track in: look-alikes, occlusion, fast motion."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import msgspec

from suite.accuracy.record_lines import score_lines
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets import embedded
from suite.datasets.part import part_of
from suite.datasets.video_traits import videos_by_trait
from suite.files import read_json, write_json
from suite.records.schema import Dataset, Measurement, Scalar, Subject
from suite.reproduce.video_settings import TRAIT_METRICS


@functools.cache
def _by_trait(split: str, digest: str) -> Mapping[str, frozenset[int]]:
    """Return the videos of each trait, found once per process and version of the data."""
    del digest
    return videos_by_trait(embedded.videos(split))


def hard_video_lines(
    results: Path, subject: Subject, dataset: Dataset, protocol: dict[str, Scalar]
) -> list[Measurement]:
    """Score a results file of the held-out videos on the videos of each trait alone.

    Args:
        results: a YouTube-VIS results file of the embedded set's split.
        subject: the scored model.
        dataset: the whole split; the lines say how many of its videos were scored.
        protocol: everything that defines the numbers.

    Returns:
        One line per trait, metric `TRAIT_METRICS`; null with its reason where no video has the trait.
    """
    whole = read_json(embedded.annotations_path("youtube_vis", dataset.split), "annotations file")
    answers = read_json(results, "results file")
    lines = []
    for trait, video_ids in _by_trait(dataset.split, dataset.digest).items():
        folder = results.parent / "hard_videos"
        folder.mkdir(exist_ok=True)
        kept, predicted = folder / f"{trait}_annotations.json", folder / f"{trait}_{results.name}"
        write_json(kept, part_of(whole, "video", video_ids))
        write_json(predicted, [item for item in answers if item["video_id"] in video_ids])
        stats = score_youtube_vis(kept, predicted).stats if video_ids else {"AP": -1.0}
        scored = msgspec.structs.replace(dataset, images=None, videos=len(video_ids))
        lines += score_lines(stats, {"AP": TRAIT_METRICS[trait]}, subject, scored, protocol)
    return lines

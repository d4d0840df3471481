"""What association is worth: video AP with and without it, with shuffled queries, and with links by ground truth.

The network runs once on every frame; each setting tracks the same outputs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference_model.association import Association, KeyFrame, Linker
from reference_model.images import Geometry, inside, instance_scores, logit
from reference_model.instance_decoder import InstancePrediction
from reference_model.losses import assign
from reference_model.mobileinst import MobileInst
from reference_model.tracking import SeenFrame, see_frame
from suite.accuracy.predict import video_results
from suite.accuracy.segmenter import ReferenceSegmenter
from suite.accuracy.video_ap import evaluate_youtube_vis
from suite.datasets.categories import map_classes
from suite.datasets.masks import to_mask
from suite.datasets.pictures import require_pictures
from suite.datasets.youtube_vis import Video, YoutubeVisDataset, read_tracks
from suite.files import write_json
from suite.progress import track
from suite.records.schema import Dataset, Measurement, Scalar, Subject
from suite.seeds import derive_seed
from suite.text_table import TextColumn, text_table

NONE, TRUTH = "none", "ground truth"
"""Rules of association beside those that `Association.named` knows: query i is track i, and an oracle."""
FOUND_IOU = 0.5
"""A query shows an object if its mask overlaps it by more than this IoU."""

Finders = Mapping[int, Sequence[int]]
"""Place of an object among its video's -> the query that finds it in one frame, then others that show it too."""


@dataclass(frozen=True)
class TrackingRow:
    """One setting.

    Attributes:
        key_frame_interval: T.
        associate_on: `NONE`, a name that `Association.named` knows, or `TRUTH`.
        video_ap: over all videos, in [0, 1].
        shuffled_video_ap: the same where the queries of every frame are put in a random order first: chance level for
            `NONE`, unchanged for a rule that looks at nothing but what the queries say.
        links: objects that a query finds on a key frame and on the next one, summed over key frames.
        changed: those of them that another query finds on the next one.
        lost: those of the changed ones that their old query no longer shows.
        followed: those of the changed ones that stay on one track.
        switches: times that an object is found on another track than when it was found last.
    """

    key_frame_interval: int
    associate_on: str
    video_ap: float
    shuffled_video_ap: float
    links: int
    changed: int
    lost: int
    followed: int
    switches: int


def _at_mask_scale(mask: np.ndarray, geometry: Geometry, height: int, width: int) -> np.ndarray:
    """Return the pixels of a mask of the original size under the centres of (height, width) cells of 4 resized px."""
    rows = (np.arange(height) * 4 + 2) * geometry.original_height // geometry.resized_height
    columns = (np.arange(width) * 4 + 2) * geometry.original_width // geometry.resized_width
    seen: np.ndarray = mask[np.ix_(rows.clip(max=mask.shape[0] - 1), columns.clip(max=mask.shape[1] - 1))]
    return seen


@torch.inference_mode()
def find_objects(
    model: MobileInst, seen: SeenFrame, masks: Sequence[np.ndarray | None], classes: Sequence[int | None], limit: float
) -> dict[int, list[int]]:
    """Return which query finds which object of a frame, and which others show it too.

    Objects and queries are paired as in training: IoU^0.8 x class score^0.2 has the largest sum.

    Args:
        model: that saw the frame.
        seen: the frame, its instances decoded.
        masks: (H, W) bool of each object at the frame's size, None where it is hidden.
        classes: the model's class of each object; None where it has none, so that its likeliest class counts.
        limit: probability above which a pixel is foreground.
    """
    assert seen.prediction is not None
    logits = inside(model.masks(seen.prediction.kernels, seen.features.mask_features)[0], seen.geometry)
    painted = (logits > logit(limit)).cpu().numpy()
    scores = instance_scores(seen.prediction.class_logits[0], seen.prediction.objectness_logits[0]).cpu().numpy()
    ious, chances, shown = [], [], []
    for place, (mask, class_index) in enumerate(zip(masks, classes, strict=True)):
        if mask is not None and mask.any():
            wanted = _at_mask_scale(mask, seen.geometry, *painted.shape[1:])
            ious.append((painted & wanted).sum((1, 2)) / np.maximum((painted | wanted).sum((1, 2)), 1))
            chances.append(scores.max(1) if class_index is None else scores[:, class_index])
            shown.append(place)
    if not shown:
        return {}
    iou, chance = np.stack(ious, 1), np.stack(chances, 1)
    queries, columns = (part.tolist() for part in assign(torch.from_numpy(iou**0.8 * chance**0.2)))
    return {
        shown[column]: [query, *(set(np.flatnonzero(iou[:, column] > FOUND_IOU).tolist()) - {query})]
        for query, column in zip(queries, columns, strict=True)
        if iou[query, column] > FOUND_IOU
    }


class _Watched:
    """Applies a rule of association and remembers the query of every track on each key frame."""

    def __init__(self, link: Linker, queries: int) -> None:
        self.link, self.orders = link, [list(range(queries))]

    def __call__(self, model: MobileInst, previous: KeyFrame, current: KeyFrame) -> Tensor:
        order = self.link(model, previous, current)
        self.orders.append(order.tolist())
        return order


def _unlinked(model: MobileInst, previous: KeyFrame, current: KeyFrame) -> Tensor:
    return torch.arange(len(current.scores))


class TruthLinker:
    """Links queries by the objects that they find.

    An object's track is the query that finds it first, or the first free track where that one is taken.

    Args:
        finders: of the video's key frames, in order.
    """

    def __init__(self, finders: Sequence[Finders]) -> None:
        self.finders = iter(finders)
        self.track_of = {place: found[0] for place, found in next(self.finders).items()}

    def __call__(self, model: MobileInst, previous: KeyFrame, current: KeyFrame) -> Tensor:
        """Return the query that continues each track, (N,) int64; tracks without an object take what is left."""
        count, found = len(current.scores), {place: queries[0] for place, queries in next(self.finders).items()}
        for place in found.keys() - self.track_of.keys():
            free = [number for number in (found[place], *range(count)) if number not in self.track_of.values()]
            if free:
                self.track_of[place] = free[0]
        order = {self.track_of[place]: query for place, query in found.items() if place in self.track_of}
        rest = set(range(count)) - set(order.values())
        for number in sorted(rest - order.keys()):
            order[number] = number
        left = iter(sorted(rest - set(order.values())))
        return torch.tensor([order[number] if number in order else next(left) for number in range(count)])


def identity_counts(finders: Sequence[Finders], orders: Sequence[Sequence[int]]) -> tuple[int, int, int, int, int]:
    """Return links, changed, lost, followed and switches (see `TrackingRow`) of one video.

    Args:
        finders: of its key frames, in order.
        orders: on each key frame the query of every track.
    """
    tracks = [{query: number for number, query in enumerate(order)} for order in orders]
    links = changed = lost = followed = switches = 0
    last: dict[int, int] = {}
    for frame, found in enumerate(finders):
        for place, (query, *_) in found.items():
            number = tracks[frame][query]
            switches += last.get(place, number) != number
            last[place] = number
    for frame, (before, now) in enumerate(pairwise(finders)):
        for place in before.keys() & now.keys():
            old, new = before[place][0], now[place][0]
            links += 1
            changed += old != new
            lost += old not in now[place]
            followed += old != new and tracks[frame][old] == tracks[frame + 1][new]
    return links, changed, lost, followed, switches


def _shuffled(seen: Sequence[SeenFrame], seed: int) -> list[SeenFrame]:
    """Return a video's frames with the queries of every frame in a random order."""
    generator, frames = torch.Generator().manual_seed(seed), []
    for frame in seen:
        assert frame.prediction is not None
        order = torch.randperm(frame.prediction.kernels.shape[1], generator=generator)
        frames.append(frame._replace(prediction=InstancePrediction(*(part[:, order] for part in frame.prediction))))
    return frames


def _see_video(
    segmenter: ReferenceSegmenter, dataset: YoutubeVisDataset, video: Video, classes: Mapping[int, int]
) -> tuple[list[SeenFrame], list[Finders]]:
    """Run the network on every frame of a video and find its objects; ``classes``: the dataset's -> the model's."""
    config = segmenter.protocol.at_size(segmenter.config)
    seen = [see_frame(segmenter.model, config, frame) for frame in dataset.read_frames(video)]
    objects = [item for item in dataset.tracks_of(video.video_id) if not item.crowd]
    wanted = [classes.get(item.class_index) for item in objects]
    finders: list[Finders] = []
    for number, frame in enumerate(seen):
        where = f"{dataset.path}: video {video.video_id} frame {number}"
        masks = [to_mask(item.segmentations[number], video.height, video.width, where) for item in objects]
        finders.append(find_objects(segmenter.model, frame, masks, wanted, segmenter.protocol.mask_threshold))
    return seen, finders


def diagnose_tracking(
    segmenter: ReferenceSegmenter,
    dataset: YoutubeVisDataset,
    intervals: Sequence[int] = (1, 3),
    associate_on: Sequence[str] = ("kernels", "embedding", "kernels+active", "masks+active"),
) -> list[TrackingRow]:
    """Track annotated videos in every setting.

    Args:
        segmenter: the model; its protocol gives everything but key frames and association.
        dataset: the videos, annotated, with their frames.
        intervals: kernel-reuse lengths T.
        associate_on: of `ASSOCIATIONS`; `NONE` and `TRUTH` are always measured as well.

    Returns:
        For each T a row for `NONE`, each name and `TRUTH`.

    Raises:
        DataError: if a frame is absent.
        InputError: if no class of the model is a category of the dataset.
        NothingMeasuredError: if no object is scored.
    """
    dataset.require_scored()
    rules: dict[str, Linker | None] = {NONE: _unlinked, **{name: Association.named(name) for name in associate_on}}
    rules[TRUTH] = None
    ids = map_classes(segmenter.categories, segmenter.num_classes, dataset.categories, segmenter.name).category_ids
    places, protocol = dataset.categories.places(), segmenter.protocol
    classes = {places[key]: index for index, key in enumerate(ids) if key is not None}
    settings = [(interval, name, mixed) for interval in intervals for name in rules for mixed in (False, True)]
    results: dict[tuple[int, str, bool], list[dict[str, Any]]] = {setting: [] for setting in settings}
    counts = {setting: np.zeros(5, np.int64) for setting in settings}
    with track("track videos", len(dataset.videos)) as step:
        for video in dataset.videos:
            seen, finders = _see_video(segmenter, dataset, video, classes)
            shuffled = _shuffled(seen, derive_seed(0, f"video {video.video_id}"))
            for setting in settings:
                interval, name, mixed = setting
                keys = finders[::interval]
                if mixed and name == TRUTH:
                    continue
                watched = _Watched(rules[name] or TruthLinker(keys), segmenter.config.num_queries)
                changes = {"key_frame_interval": interval, "association": True, "associate_on": watched}
                tracker = protocol.tracker(segmenter.model, segmenter.config, **changes)
                tracks = tracker.track_video(shuffled if mixed else seen, protocol.max_tracks)
                results[setting] += video_results(tracks, video.video_id, ids)
                counts[setting] += identity_counts(keys, watched.orders)
            step()
    with TemporaryDirectory() as folder:
        path, ap = Path(folder) / "results.json", {}
        for interval, name, mixed in settings:
            write_json(path, results[interval, name, mixed and name != TRUTH])
            ap[interval, name, mixed] = evaluate_youtube_vis(dataset, read_tracks(path, dataset))[0].stats["AP"]
    return [
        TrackingRow(
            interval,
            name,
            ap[interval, name, False],
            ap[interval, name, True],
            *map(int, counts[interval, name, False]),
        )
        for interval, name, mixed in settings
        if not mixed
    ]


def diagnose_checkpoint(
    checkpoint: Path, annotations: Path, images: Path, intervals: Sequence[int], associate_on: Sequence[str]
) -> list[TrackingRow]:
    """Return `diagnose_tracking` of a checkpoint on the videos of an annotations file with frames below ``images``."""
    dataset = YoutubeVisDataset.load(annotations, images)
    require_pictures(dataset.picture_files())
    return diagnose_tracking(ReferenceSegmenter.open(checkpoint), dataset, intervals, associate_on)


def tracking_table(rows: Sequence[TrackingRow]) -> str:
    """Return the rows as text, AP in percent."""
    titles = ("T", "AP", "AP shuffled", "links", "changed", "lost", "followed", "switches")
    columns = [TextColumn("associated on"), *(TextColumn(title, number=True) for title in titles)]
    cells = []
    for row in rows:
        interval, name, ap, shuffled, *counts = asdict(row).values()
        cells.append((name, str(interval), f"{100 * ap:.2f}", f"{100 * shuffled:.2f}", *map(str, counts)))
    return "\n".join(text_table(columns, cells))


METRICS = {
    "video_ap": "linked_video_ap",
    "shuffled_video_ap": "shuffled_video_ap",
    "links": "track_links",
    "changed": "track_query_changes",
    "lost": "track_query_losses",
    "followed": "track_changes_followed",
    "switches": "identity_switches",
}
"""Field of `TrackingRow` -> metric of the records."""


def tracking_lines(
    segmenter: ReferenceSegmenter,
    videos: YoutubeVisDataset,
    subject: Subject,
    dataset: Dataset,
    protocol: dict[str, Scalar],
) -> list[Measurement]:
    """Return the rows of `diagnose_tracking`, with its usual settings, as record lines.

    Args:
        segmenter: the model.
        videos: annotated, with their frames.
        subject: the model for the record.
        dataset: the videos for the record.
        protocol: what defines the predictions beside T and association.
    """
    lines = []
    for row in diagnose_tracking(segmenter, videos):
        values = asdict(row)
        fields = protocol | {name: values.pop(name) for name in ("key_frame_interval", "associate_on")}
        lines += [Measurement(METRICS[name], float(value), subject, fields, dataset) for name, value in values.items()]
    return lines

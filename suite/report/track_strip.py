"""One video's tracks as a strip of frames, each track in one colour from the first frame to the last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from suite.errors import InputError
from suite.report.overlay import COLOURS, CROWD_COLOUR, Mask, Shape, banner, paint, side_by_side, stacked
from suite.report.picture_files import Keys, decoded, evenly_spaced, read_results, save_png

if TYPE_CHECKING:
    from suite.datasets.youtube_vis import Video, YoutubeVisDataset

SHOWN_FRAMES = 6
FRAME_WIDTH_PX = 300
MATCH_IOU = 0.3
MAX_TRACKS = 10
"""No more tracks than the field's video methods keep per video."""


@dataclass(frozen=True)
class _Track:
    """One track to paint: its masks (None where absent), category name and score (None for ground truth)."""

    masks: tuple[Mask | None, ...]
    name: str
    score: float | None
    crowd: bool = False


def _chosen_video(dataset: YoutubeVisDataset, video_id: int | None) -> tuple[Video, str]:
    if video_id is None:
        if not dataset.videos:
            raise InputError(f"{dataset.path}: lists no video; nothing can be drawn")
        video = max(dataset.videos, key=lambda item: len(dataset.tracks_of(item.video_id)))
        return video, "the first video with the most annotated objects"
    for video in dataset.videos:
        if video.video_id == video_id:
            return video, f"video {video_id}, as asked for"
    raise InputError(f"{dataset.path}: has no video with id {video_id}; choose one of the file's ids")


def track_iou(first: Sequence[Mask | None], second: Sequence[Mask | None]) -> float:
    """Return the spatio-temporal IoU of two tracks: intersections summed over frames, divided by summed unions."""
    intersection = union = 0
    for one, other in zip(first, second, strict=True):
        if one is not None and other is not None:
            intersection += int((one & other).sum())
            union += int((one | other).sum())
        else:
            union += sum(int(mask.sum()) for mask in (one, other) if mask is not None)
    return intersection / union if union else 0.0


def assign_colours(truth: Sequence[_Track], predicted: Sequence[_Track]) -> list[int]:
    """Give each predicted track the colour number of the annotated track it follows best, else one of its own.

    Colours say who follows whom in the picture; they are no score. Tracks are taken in the given order (by score), each
    annotated track at most once, from an IoU of `MATCH_IOU`.
    """
    free, numbers, own = set(range(len(truth))), [], len(truth)
    for track in predicted:
        overlaps = {number: track_iou(track.masks, truth[number].masks) for number in sorted(free)}
        best = max(overlaps, key=lambda number: overlaps[number], default=None)
        if best is not None and overlaps[best] >= MATCH_IOU:
            free.discard(best)
            numbers.append(best)
        else:
            numbers.append(own)
            own += 1
    return numbers


def _predicted_tracks(
    dataset: YoutubeVisDataset, results_path: Path, video: Video, score_threshold: float
) -> list[_Track]:
    keys: Keys = {
        "video_id": int,
        "category_id": int,
        "score": (int, float),
        "segmentations": list,
    }
    names = dict(zip(dataset.categories.ids, dataset.categories.names, strict=True))
    tracks = []
    for number, entry in enumerate(read_results(results_path, keys)):
        if entry["video_id"] != video.video_id or entry["score"] < score_threshold:
            continue
        place = f"{results_path}: result [{number}]"
        if entry["category_id"] not in names or len(entry["segmentations"]) != video.length:
            raise InputError(f"{place} does not fit {dataset.path}; is it a results file for other videos?")
        masks = tuple(
            None if item is None else decoded(item, video.height, video.width, f"{place}.segmentations[{frame}]")
            for frame, item in enumerate(entry["segmentations"])
        )
        tracks.append(_Track(masks, names[entry["category_id"]], float(entry["score"])))
    return sorted(tracks, key=lambda track: -(track.score or 0))[:MAX_TRACKS]


def _strip(
    dataset: YoutubeVisDataset, video: Video, frames: list[int], tracks: Sequence[_Track], numbers: Sequence[int]
) -> Image.Image:
    pictures = []
    for frame in frames:
        shapes = []
        for track, number in reversed(list(zip(tracks, numbers, strict=True))):
            mask = track.masks[frame]
            if mask is not None:
                score = "" if track.score is None else f" {track.score:.2f}"
                colour = CROWD_COLOUR if track.crowd else COLOURS[number % len(COLOURS)]
                shapes.append(Shape(mask, colour, f"{number + 1} {track.name}{score}"))
        pictures.append(paint(dataset.read_frame(video, frame), shapes, FRAME_WIDTH_PX))
    return side_by_side(pictures)


def draw_track_strip(
    dataset: YoutubeVisDataset,
    results_path: Path,
    out_path: Path,
    video_id: int | None = None,
    score_threshold: float = 0.3,
) -> str:
    """Draw one video's annotated tracks above its predicted ones, each track in one colour through all frames.

    Args:
        dataset: videos and ground truth; its frame folder must be known.
        results_path: YouTube-VIS results file (``.json`` or ``.json.gz``).
        out_path: PNG to write.
        video_id: video to show; by default the first one with the most annotated objects.
        score_threshold: tracks below it are not drawn, 0 to 1.

    Returns:
        The caption, which states the rule of choice, the frames and the threshold.

    Raises:
        DataError: if the results file or a frame is absent.
        InputError: if the results file is damaged or for other videos.
    """
    video, rule = _chosen_video(dataset, video_id)
    frames = evenly_spaced(video.length, SHOWN_FRAMES)
    truth = [
        _Track(
            tuple(
                None
                if item is None
                else decoded(item, video.height, video.width, f"{dataset.path}: track {track.track_id}")
                for item in track.segmentations
            ),
            dataset.categories.names[track.class_index],
            None,
            track.iscrowd,
        )
        for track in dataset.tracks_of(video.video_id)
    ]
    predicted = _predicted_tracks(dataset, results_path, video, score_threshold)
    numbers = assign_colours(truth, predicted)
    width = len(frames) * (FRAME_WIDTH_PX + 4) - 4
    shown = ", ".join(str(frame + 1) for frame in frames)
    rows = []
    if truth:
        rows += [banner(f"ground truth, frames {shown} of {video.length}", width)]
        rows += [_strip(dataset, video, frames, truth, range(len(truth)))]
    rows += [banner("predicted; one colour and number per track, taken from the annotated track it follows", width)]
    rows += [_strip(dataset, video, frames, predicted, numbers)]
    save_png(stacked(rows), out_path)
    return (
        f"Tracks with scores of at least {score_threshold:g} through frames {shown} of a video; shown: {rule}. "
        "Colours and numbers follow a track through all frames."
    )

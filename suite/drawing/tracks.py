"""Draw one video's tracks: as a strip of frames, and as an animated PNG of ground truth beside prediction."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from suite.drawing.overlay import (
    COLOURS,
    CROWD_COLOUR,
    Mask,
    Shape,
    banner,
    evenly_spaced,
    paint,
    save_png,
    side_by_side,
    stacked,
)
from suite.errors import InputError
from suite.files import write_bytes

if TYPE_CHECKING:
    from suite.datasets.youtube_vis import MaskedTrack, Video, YoutubeVisDataset

MATCH_IOU = 0.3
FOUND_IOU = 0.5
MAX_TRACKS = 10
"""No more tracks than the field's video methods keep per video."""
STRIP_FRAMES = 6
STRIP_FRAME_WIDTH_PX = 300
MAX_FRAMES = 24
FRAME_WIDTH_PX = 360
FRAME_DURATION_MS = 500
PALETTE_COLOURS = 128
"""Colours of the whole animation; a third of the bytes of full colour, and contours and labels stay crisp."""


@dataclass(frozen=True)
class Track:
    """One track to paint: its masks (None where absent), category name and score (None for ground truth)."""

    masks: tuple[Mask | None, ...]
    name: str
    score: float | None
    crowd: bool = False


def followed(truth: Sequence[MaskedTrack], predicted: Sequence[MaskedTrack]) -> int:
    """Count the annotated objects of a video that keep one predicted track.

    Such an object is found (by a mask of an IoU of at least `FOUND_IOU`) in half or more of the frames that show it,
    and always by the same track.
    """
    from pycocotools import mask as coco_mask

    shown = [track.masks.rles() for track in predicted]
    count = 0
    for track in truth:
        seen = [(frame, code) for frame, code in enumerate(track.masks.rles()) if code is not None]
        finders = []
        for frame, code in seen:
            there = [(number, codes[frame]) for number, codes in enumerate(shown) if codes[frame] is not None]
            if there:
                overlaps = coco_mask.iou([one for _, one in there], [code], [0])[:, 0]
                if overlaps.max() >= FOUND_IOU:
                    finders.append(there[overlaps.argmax()][0])
        count += 2 * len(finders) >= len(seen) and len(set(finders)) == 1
    return count


def _chosen(dataset: YoutubeVisDataset, predicted: Callable[[Video], Sequence[MaskedTrack]]) -> tuple[Video, str]:
    """Return the video to show and the rule by which it was chosen."""
    from suite.datasets.video_traits import videos_by_trait  # as `show_video` says

    if not dataset.videos:
        raise InputError(f"{dataset.path}: lists no video; nothing can be drawn")
    hard = videos_by_trait(dataset)["look_alikes"]
    videos = [video for video in dataset.videos if video.video_id in hard] or list(dataset.videos)
    truth = [[one for one in dataset.masked_tracks if one.video_id == video.video_id] for video in videos]
    kept = [followed(objects, predicted(video)) for objects, video in zip(truth, videos, strict=True)]
    best = kept.index(max(kept))
    where = "videos in which objects of one category touch" if hard else "videos"
    return videos[best], (
        f"of {len(videos)} {where}, the first with the most objects ({kept[best]} of {len(truth[best])}) that keep one "
        f"track; in all of them {sum(kept)} of {sum(map(len, truth))} do"
    )


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


def assign_colours(truth: Sequence[Track], predicted: Sequence[Track]) -> list[int]:
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


def _tracks(dataset: YoutubeVisDataset, found: Sequence[MaskedTrack], scored: bool) -> tuple[Track, ...]:
    """Return tracks as they are painted, with their scores where they have some."""
    return tuple(
        Track(
            tuple(None if place < 0 else track.masks.codes.mask(place) for place in track.masks.places.tolist()),
            dataset.categories.names[track.class_index],
            track.score if scored else None,
            track.crowd,
        )
        for track in found
    )


@dataclass(frozen=True)
class ShownVideo:
    """A video with the tracks to paint.

    Attributes:
        dataset: where its frames are.
        video: the video.
        rule: why this one, for the caption.
        score_threshold: predicted tracks below it are left out, 0 to 1.
        truth: annotated tracks; the colour number of each is its place.
        predicted: predicted tracks, best score first.
        numbers: colour number of each predicted track.
    """

    dataset: YoutubeVisDataset
    video: Video
    rule: str
    score_threshold: float
    truth: tuple[Track, ...]
    predicted: tuple[Track, ...]
    numbers: tuple[int, ...]

    def paint_truth(self, frame: int, width_px: int) -> Image.Image:
        """Return a frame with its annotated tracks."""
        return self._paint(frame, width_px, self.truth, range(len(self.truth)))

    def paint_predicted(self, frame: int, width_px: int) -> Image.Image:
        """Return a frame with its predicted tracks, in the colours of the annotated ones they follow."""
        return self._paint(frame, width_px, self.predicted, self.numbers)

    def _paint(self, frame: int, width_px: int, tracks: Sequence[Track], numbers: Sequence[int]) -> Image.Image:
        shapes = []
        for track, number in reversed(list(zip(tracks, numbers, strict=True))):
            mask = track.masks[frame]
            if mask is not None:
                score = "" if track.score is None else f" {track.score:.2f}"
                colour = CROWD_COLOUR if track.crowd else COLOURS[number % len(COLOURS)]
                shapes.append(Shape(mask, colour, f"{number + 1} {track.name}{score}"))
        return paint(self.dataset.read_frame(self.video, frame), shapes, width_px)


def show_video(dataset: YoutubeVisDataset, results_path: Path, score_threshold: float = 0.3) -> ShownVideo:
    """Choose the video, read its tracks and give them their colours.

    Of the videos in which objects of one category touch it is the first with the most objects `followed`: the caption
    says how many keep their track in all of these videos.

    Args:
        dataset: videos and ground truth; its frame folder must be known.
        results_path: YouTube-VIS results file (``.json`` or ``.json.gz``).
        score_threshold: tracks below it are not shown, 0 to 1.

    Raises:
        DataError: if the results file is absent.
        InputError: if the results file is damaged or for other videos.
    """
    from suite.datasets.youtube_vis import read_tracks  # The report draws in an environment without pycocotools.

    found = [track for track in read_tracks(results_path, dataset) if track.score >= score_threshold]
    best = sorted(found, key=lambda track: -track.score)

    def shown_of(video: Video) -> list[MaskedTrack]:
        return [track for track in best if track.video_id == video.video_id][:MAX_TRACKS]

    video, rule = _chosen(dataset, shown_of)
    truth = _tracks(dataset, [one for one in dataset.masked_tracks if one.video_id == video.video_id], scored=False)
    predicted = _tracks(dataset, shown_of(video), scored=True)
    return ShownVideo(dataset, video, rule, score_threshold, truth, predicted, tuple(assign_colours(truth, predicted)))


def draw_track_strip(shown: ShownVideo, out_path: Path) -> str:
    """Draw one video's annotated tracks above its predicted ones, each track in one colour through all frames.

    Args:
        shown: the video and its tracks, of `show_video`.
        out_path: PNG to write.

    Returns:
        The caption, which states the rule of choice, the frames and the threshold.

    Raises:
        DataError: if a frame is absent.
        InputError: if a frame cannot be read.
    """
    frames = evenly_spaced(shown.video.length, STRIP_FRAMES)
    width = len(frames) * (STRIP_FRAME_WIDTH_PX + 4) - 4
    named = ", ".join(str(frame + 1) for frame in frames)
    rows = []
    if shown.truth:
        rows += [banner(f"ground truth, frames {named} of {shown.video.length}", width)]
        rows += [side_by_side([shown.paint_truth(frame, STRIP_FRAME_WIDTH_PX) for frame in frames])]
    rows += [banner("predicted; one colour and number per track, taken from the annotated track it follows", width)]
    rows += [side_by_side([shown.paint_predicted(frame, STRIP_FRAME_WIDTH_PX) for frame in frames])]
    save_png(stacked(rows), out_path)
    return (
        f"Tracks with scores of at least {shown.score_threshold:g} through frames {named} of a video; "
        f"shown: {shown.rule}. Colours and numbers follow a track through all frames."
    )


def _pictures(shown: ShownVideo, frames: list[int]) -> list[Image.Image]:
    pictures = []
    for frame in frames:
        sides = [("predicted", shown.paint_predicted(frame, FRAME_WIDTH_PX))]
        if shown.truth:
            sides.insert(0, ("ground truth", shown.paint_truth(frame, FRAME_WIDTH_PX)))
        place = f"frame {frame + 1} of {shown.video.length}"
        columns = [stacked([banner(f"{title}, {place}", FRAME_WIDTH_PX), picture]) for title, picture in sides]
        pictures.append(side_by_side(columns))
    return pictures


def animated_png(pictures: list[Image.Image]) -> bytes:
    """Return pictures of one size as an endless animated PNG without metadata, in one palette for all.

    Args:
        pictures: RGB frames in order; the first one is what programs without animation show.
    """
    # One reduction of all frames together, cut apart again: Pillow's reduction to a given palette merges near colours.
    reduced = stacked(pictures, gap_px=0).quantize(PALETTE_COLOURS, Image.Quantize.MEDIANCUT)
    width, height = pictures[0].size
    frames = [reduced.crop((0, n * height, width, (n + 1) * height)) for n in range(len(pictures))]
    stream = io.BytesIO()
    moving = {"save_all": True, "append_images": frames[1:], "duration": FRAME_DURATION_MS, "loop": 0}
    frames[0].save(stream, format="PNG", compress_level=9, **moving)
    return stream.getvalue()


def draw_track_animation(shown: ShownVideo, out_path: Path) -> str:
    """Write an animated PNG of one video's tracks; see `draw_track_strip`."""
    frames = evenly_spaced(shown.video.length, MAX_FRAMES)
    write_bytes(out_path, animated_png(_pictures(shown, frames)))
    count = "all" if len(frames) == shown.video.length else f"{len(frames)} of"
    return (
        f"Tracking, {count} {shown.video.length} frames of a video, tracks with scores of at least "
        f"{shown.score_threshold:g}; shown: {shown.rule}. Colours and numbers follow a track."
    )

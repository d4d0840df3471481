"""Draw one video's tracks: as a strip of frames, and as an animated PNG of ground truth beside prediction."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from suite.drawing.overlay import banner, evenly_spaced, save_png, side_by_side, stacked
from suite.drawing.tracks import ShownVideo
from suite.files import write_bytes

STRIP_FRAMES = 6
STRIP_FRAME_WIDTH_PX = 300
MAX_FRAMES = 24
FRAME_WIDTH_PX = 360
FRAME_DURATION_MS = 500
PALETTE_COLOURS = 128
"""Colours of the whole animation; a third of the bytes of full colour, and contours and labels stay crisp."""


def draw_track_strip(shown: ShownVideo, out_path: Path) -> str:
    """Draw one video's annotated tracks above its predicted ones, each track in one colour through all frames.

    Args:
        shown: the video and its tracks, of `suite.drawing.tracks.show_video`.
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


def animated_png(pictures: list[Image.Image], duration_ms: int = FRAME_DURATION_MS) -> bytes:
    """Return pictures of one size as an endless animated PNG without metadata, in one palette for all.

    Args:
        pictures: RGB frames in order; the first one is what programs without animation show.
        duration_ms: how long each frame stays.
    """
    # One reduction of all frames together, cut apart again: Pillow's reduction to a given palette merges near colours.
    reduced = stacked(pictures, gap_px=0).quantize(PALETTE_COLOURS, Image.Quantize.MEDIANCUT)
    width, height = pictures[0].size
    frames = [reduced.crop((0, n * height, width, (n + 1) * height)) for n in range(len(pictures))]
    stream = io.BytesIO()
    frames[0].save(
        stream, format="PNG", save_all=True, append_images=frames[1:], duration=duration_ms, loop=0, compress_level=9
    )
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

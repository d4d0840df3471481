"""One video's tracks as a strip of frames, each track in one colour from the first frame to the last."""

from __future__ import annotations

from pathlib import Path

from suite.report.overlay import banner, side_by_side, stacked
from suite.report.picture_files import evenly_spaced, save_png
from suite.report.tracks import ShownVideo

SHOWN_FRAMES = 6
FRAME_WIDTH_PX = 300


def draw_track_strip(shown: ShownVideo, out_path: Path) -> str:
    """Draw one video's annotated tracks above its predicted ones, each track in one colour through all frames.

    Args:
        shown: the video and its tracks, of `suite.report.tracks.show_video`.
        out_path: PNG to write.

    Returns:
        The caption, which states the rule of choice, the frames and the threshold.

    Raises:
        DataError: if a frame is absent.
        InputError: if a frame cannot be read.
    """
    frames = evenly_spaced(shown.video.length, SHOWN_FRAMES)
    width = len(frames) * (FRAME_WIDTH_PX + 4) - 4
    named = ", ".join(str(frame + 1) for frame in frames)
    rows = []
    if shown.truth:
        rows += [banner(f"ground truth, frames {named} of {shown.video.length}", width)]
        rows += [side_by_side([shown.paint_truth(frame, FRAME_WIDTH_PX) for frame in frames])]
    rows += [banner("predicted; one colour and number per track, taken from the annotated track it follows", width)]
    rows += [side_by_side([shown.paint_predicted(frame, FRAME_WIDTH_PX) for frame in frames])]
    save_png(stacked(rows), out_path)
    return (
        f"Tracks with scores of at least {shown.score_threshold:g} through frames {named} of a video; "
        f"shown: {shown.rule}. Colours and numbers follow a track through all frames."
    )

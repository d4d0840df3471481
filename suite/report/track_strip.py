"""One video's tracks as a strip of frames, each track in one colour from the first frame to the last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from suite.report.overlay import banner, side_by_side, stacked
from suite.report.picture_files import evenly_spaced, save_png
from suite.report.tracks import show_video

if TYPE_CHECKING:
    from suite.datasets.youtube_vis import YoutubeVisDataset

SHOWN_FRAMES = 6
FRAME_WIDTH_PX = 300


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
    shown = show_video(dataset, results_path, video_id, score_threshold)
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
        f"Tracks with scores of at least {score_threshold:g} through frames {named} of a video; shown: {shown.rule}. "
        "Colours and numbers follow a track through all frames."
    )

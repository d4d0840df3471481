"""Anybody's pictures and videos: find what a user's words name, read it frame by frame, write a video."""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from suite.datasets.pictures import read_picture
from suite.errors import DataError, InputError, SuiteError
from suite.files import atomic_path
from suite.progress import say

if TYPE_CHECKING:
    import cv2

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
DEFAULT_FRAMES_PER_S = 10.0
"""Of a clip whose frames are picture files, and of a camera that does not say its own."""
MOST_FRAMES_PER_S, FILE_FRAMES_PER_S = 480.0, 30.0
"""Rates of files above the first are the clock of a container; the second is then taken."""
SMOOTH_FRAMES_PER_S, MOST_TIMES = 12.0, 3
"""A file of variable rate that says less, as a mean, may show frames in quick succession in between."""
LONGEST_PAUSE_S, MOST_REPEATS = 10.0, 6
"""How long a frame stays at most in a written video; how often frames are repeated as a mean beyond such a pause."""
CODECS = ("vp09", "mp4v")
"""VP9, which browsers and players show; MPEG-4 part 2 where OpenCV was built without it."""

Frame = NDArray[np.uint8]


@dataclass(frozen=True)
class Source:
    """One picture, or one clip whose frames belong together.

    Attributes:
        name: how messages and results call it: the path, or ``"camera 0"``.
        pictures: the picture file, or the frames of a clip of picture files, in order.
        video: a video file, or the number of a camera.
        clip: whether its frames belong together.
    """

    name: str
    pictures: tuple[Path, ...] = ()
    video: Path | int | None = None
    clip: bool = True

    @property
    def camera(self) -> bool:
        """Whether it has no end of its own."""
        return isinstance(self.video, int)

    @property
    def stem(self) -> str:
        """What files drawn from it are called, without suffix."""
        path = self.video if self.clip else self.pictures[0]
        stem = path.stem if isinstance(path, Path) else re.sub(r"\W+", "-", Path(self.name).name).strip("-") or "clip"
        # File systems take 255 bytes, and a number and a suffix follow.
        return os.fsdecode(os.fsencode(stem)[:200]) if len(os.fsencode(stem)) > 200 else stem

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files."""
        return (self.video,) if isinstance(self.video, Path) else self.pictures


def _in_order(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def _of_file(path: Path) -> Source | None:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Source(str(path), pictures=(path,), clip=False)
    return Source(str(path), video=path) if path.suffix.lower() in VIDEO_SUFFIXES else None


def find_sources(words: Sequence[str], frames_of_clips: bool = False) -> list[Source]:
    """Return what words name: picture and video files, folders of them, globs, and cameras by number.

    Args:
        words: as typed. A whole number is a camera unless a file has that name; a glob is expanded here, so that it
            also works in quotes; of a folder every picture and video directly in it is taken.
        frames_of_clips: the pictures of one folder, or of one glob, are the frames of one clip.

    Returns:
        The sources, each word's in natural order (``frame2`` before ``frame10``).

    Raises:
        DataError: naming the word that names nothing.
        InputError: naming the file that is neither a picture nor a video by its suffix.
    """
    known = f"known are {', '.join(PICTURE_SUFFIXES + VIDEO_SUFFIXES)}"
    found: list[Source] = []
    for word in words:
        path = Path(word)
        if re.fullmatch(r"[0-9]{1,4}", word) and not path.exists():
            found.append(Source(f"camera {int(word)}", video=int(word)))
            continue
        pattern = "*" if path.is_dir() else word[len(path.anchor) :] or "."
        folder = path if path.is_dir() else Path(path.anchor or ".")
        files = [path] if path.is_file() else [item for item in folder.glob(pattern) if item.is_file()]
        if not Path(word).name.startswith("."):  # hidden files, such as what a kill left half-written
            files = [item for item in files if item == path or not item.name.startswith(".")]
        sources = [source for file in sorted(files, key=_in_order) if (source := _of_file(file))]
        if not sources and path.is_file():
            raise InputError(f"{path}: neither a picture nor a video by its suffix; {known}")
        if not sources:
            raise DataError(
                f"{word}: no picture, video or camera of that name, in that folder or of that pattern; {known}"
            )
        pictures = tuple(picture for source in sources for picture in source.pictures)
        if frames_of_clips and pictures and not path.is_file():
            sources = [Source(word, pictures=pictures), *(source for source in sources if not source.pictures)]
        found += sources
    return found


@dataclass(frozen=True)
class Frames:
    """The frames of an open source.

    Attributes:
        each: (H, W, 3) uint8 RGB frames in order, or instead of one that cannot be read, the reason; ending or closing
            it gives the file or camera back.
        total: number of frames that the source says it has; None for a camera.
        per_s: its frame rate.
        time_s: returns when the last frame is shown, in seconds from the first; None: at its number over ``per_s``.
    """

    each: Generator[Frame | SuiteError, None, None]
    total: int | None
    per_s: float = DEFAULT_FRAMES_PER_S
    time_s: Callable[[], float] | None = None

    @property
    def drawn_per_s(self) -> float:
        """The rate at which it is drawn: its own, or a multiple of it for files that say little."""
        times = math.ceil(SMOOTH_FRAMES_PER_S / self.per_s)
        return self.per_s * (1 if self.time_s is None else min(max(1, times), MOST_TIMES))


def open_source(source: Source) -> Frames:
    """Open a source to read its frames; DataError if a camera is absent, InputError if a file is no video."""
    if source.video is None:
        return Frames(_read_pictures(source.pictures), len(source.pictures))
    import cv2

    from reference_model.images import ImageError
    from reference_model.video_file import open_video

    try:
        capture = open_video(source.video)
    except ImageError as error:
        if source.camera:
            raise DataError(f"{source.name}: cannot be opened; is it plugged in, and free?") from None
        raise InputError(str(error)) from None
    count, rate = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), float(capture.get(cv2.CAP_PROP_FPS))
    if source.camera:
        return Frames(_decode(source, capture), None, rate if 0 < rate < 1000 else DEFAULT_FRAMES_PER_S)
    rate = rate if 0 < rate <= MOST_FRAMES_PER_S else FILE_FRAMES_PER_S
    return Frames(_decode(source, capture), count if count > 0 else None, rate, _clock(capture, rate))


def _clock(capture: cv2.VideoCapture, per_s: float) -> Callable[[], float]:
    """Return what gives the time of each frame once it is read, in seconds from the first, always later than before.

    Some files have no time for some frames; those follow the frame before at ``per_s``.
    """
    import cv2

    first, last = 0.0, -1.0

    def time_s() -> float:
        nonlocal first, last
        said = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if last < 0:
            first, last = said, 0.0
        else:
            last = said - first if said - first > last else last + 1 / per_s
        return last

    return time_s


def _read_pictures(paths: Sequence[Path]) -> Generator[Frame | SuiteError, None, None]:
    for path in paths:
        try:
            yield read_picture(path)
        except SuiteError as error:
            yield error


def _decode(source: Source, capture: cv2.VideoCapture) -> Generator[Frame | SuiteError, None, None]:
    from reference_model.images import ImageError
    from reference_model.video_file import check_end

    name, number = source.name, 0
    try:
        while capture.grab():
            decoded, frame = capture.retrieve()
            if decoded and frame is not None and frame.ndim == 3:
                yield np.ascontiguousarray(frame[..., ::-1])
            else:
                yield InputError(f"{name}: frame {number} cannot be decoded; convert or copy the file again")
            number += 1
        if isinstance(source.video, Path) and (caution := check_end(source.video, capture, number)):
            say(f"caution: {name}: {caution}")
    except ImageError as error:
        yield InputError(str(error))
    finally:
        capture.release()


class _NoFramesError(Exception):
    """Ends the writing of a video that got none."""


@contextmanager
def writing_video(path: Path, frames_per_s: float) -> Iterator[Callable[[Frame, float], None]]:
    """Write a video that appears at ``path`` when the block ends well and frames were added.

    Sides are cut to even numbers of pixels as the codecs want. A frame is repeated until the next one is due, and one
    that comes before its turn is left out.

    Args:
        path: of the mp4; its folder is made.
        frames_per_s: at which it plays.

    Yields:
        What appends an RGB frame (H, W, 3) that is shown at so many seconds; the first one decides the size. It raises
        InputError if no codec can be opened, or a frame has another size.

    Raises:
        DataError: if the disk is full or may not be written.
    """
    from reference_model.images import ImageError
    from reference_model.video_file import opencv_name, prepare_ffmpeg

    prepare_ffmpeg()
    import cv2

    try:
        opencv_name(path)
    except ImageError as error:
        raise InputError(str(error)) from None
    writer, size, count, added, early, cut_s = cv2.VideoWriter(), (0, 0), 0, 0, 0, 0.0
    held: NDArray[Any] = np.zeros(0, np.uint8)

    def add(frame: Frame, at_s: float) -> None:
        nonlocal size, count, added, early, held, cut_s
        if 1 in frame.shape[:2]:  # no codec takes one pixel
            frame = frame.repeat(2, axis=0).repeat(2, axis=1)
        height, width = (side - side % 2 for side in frame.shape[:2])
        if not writer.isOpened():
            size = width, height
            name, codecs = opencv_name(temporary), (cv2.VideoWriter.fourcc(*codec) for codec in CODECS)
            if not any(writer.open(name, cv2.CAP_FFMPEG, codec, frames_per_s, size) for codec in codecs):
                raise InputError(f"{path}: this OpenCV writes no video; install opencv-python-headless from PyPI")
        if (width, height) != size:
            raise InputError(f"{path}: a frame of {width}x{height} px cannot follow one of {size}")
        wait = round((at_s - cut_s) * frames_per_s) - count
        if wait < 0:
            early += 1
            return
        added += 1
        spared = MOST_REPEATS * added - (count - added)
        longest = round(LONGEST_PAUSE_S * frames_per_s) + min(0, spared)
        cut_s += max(0, wait - longest) / frames_per_s
        for _ in range(min(wait, longest) if count else 0):
            writer.write(held)
            count += 1
        held = cv2.cvtColor(np.ascontiguousarray(frame[:height, :width]), cv2.COLOR_RGB2BGR)
        writer.write(held)
        count += 1

    with suppress(_NoFramesError), atomic_path(path, keep_suffix=True) as temporary:
        try:
            yield add
        finally:
            writer.release()
        if not count:
            raise _NoFramesError
        if early:
            say(f"{path.name}: {early} frames follow too soon to be drawn at {frames_per_s:.3g} frames/s")
        # OpenCV says nothing when the disk takes no more.
        if round(cv2.VideoCapture(opencv_name(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)) != count:
            raise OSError(errno.ENOSPC, "its frames were cut short")

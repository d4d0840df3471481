"""Anybody's pictures and videos: find what a user's words name, read it frame by frame, write a video."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suite.datasets.pictures import read_picture
from suite.errors import DataError, InputError, SuiteError
from suite.files import atomic_path

if TYPE_CHECKING:
    import cv2

PICTURE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".mpo", ".png", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv")
DEFAULT_FRAMES_PER_S = 10.0
"""Of a clip whose frames are picture files, and of a camera or file that does not say its own."""
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
        stem = path.stem if isinstance(path, Path) else re.sub(r"\W+", "-", Path(self.name).name)
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
    """

    each: Generator[Frame | SuiteError, None, None]
    total: int | None
    per_s: float = DEFAULT_FRAMES_PER_S


def open_source(source: Source) -> Frames:
    """Open a source to read its frames; DataError if a camera is absent, InputError if a file is no video."""
    if source.video is None:
        return Frames(_read_pictures(source.pictures), len(source.pictures))
    from reference_model.api import prepare_ffmpeg

    prepare_ffmpeg()
    import cv2

    capture = cv2.VideoCapture(source.video if isinstance(source.video, int) else str(source.video))
    if not capture.isOpened():
        if source.camera:
            raise DataError(f"{source.name}: cannot be opened; is it plugged in, and free?")
        raise InputError(f"{source.name}: cannot be read as a video; convert it, e.g. to H.264 in mp4")
    count, rate = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), float(capture.get(cv2.CAP_PROP_FPS))
    total = count if count > 0 and not source.camera else None
    return Frames(_decode(source.name, capture, total), total, rate if 0 < rate < 1000 else DEFAULT_FRAMES_PER_S)


def _read_pictures(paths: Sequence[Path]) -> Generator[Frame | SuiteError, None, None]:
    for path in paths:
        try:
            yield read_picture(path)
        except SuiteError as error:
            yield error


def _decode(name: str, capture: cv2.VideoCapture, total: int | None) -> Generator[Frame | SuiteError, None, None]:
    number = 0
    try:
        while capture.grab():
            decoded, frame = capture.retrieve()
            if decoded and frame is not None and frame.ndim == 3:
                yield np.ascontiguousarray(frame[..., ::-1])
            else:
                yield InputError(f"{name}: frame {number} cannot be decoded; convert or copy the file again")
            number += 1
    finally:
        capture.release()
    # The count of some containers is their duration times their rate, a frame or two off.
    if total is not None and number < total - max(2, total // 50):
        yield InputError(f"{name}: ends after frame {number - 1} of {total}; copy the file again if it was cut short")


class _NoFramesError(Exception):
    """Ends the writing of a video that got none."""


@contextmanager
def writing_video(path: Path, frames_per_s: float) -> Iterator[Callable[[Frame], None]]:
    """Write a video that appears at ``path`` when the block ends well and frames were added.

    Sides are cut to even numbers of pixels as the codecs want.

    Args:
        path: of the mp4; its folder is made.
        frames_per_s: at which it plays.

    Yields:
        What appends an RGB frame (H, W, 3); the first one decides the size. It raises InputError if no codec can be
        opened, or a frame has another size.

    Raises:
        DataError: if the disk is full or may not be written.
    """
    from reference_model.api import prepare_ffmpeg

    prepare_ffmpeg()
    import cv2

    writer, size, count = cv2.VideoWriter(), (0, 0), 0

    def add(frame: Frame) -> None:
        nonlocal size, count
        height, width = (max(2, side - side % 2) for side in frame.shape[:2])
        if not writer.isOpened():
            size = width, height
            codecs = (cv2.VideoWriter.fourcc(*codec) for codec in CODECS)
            if not any(writer.open(str(temporary), cv2.CAP_FFMPEG, codec, frames_per_s, size) for codec in codecs):
                raise InputError(f"{path}: this OpenCV writes no video; install opencv-python-headless from PyPI")
        if (width, height) != size:
            raise InputError(f"{path}: a frame of {width}x{height} px cannot follow one of {size}")
        writer.write(cv2.cvtColor(np.ascontiguousarray(frame[:height, :width]), cv2.COLOR_RGB2BGR))
        count += 1

    with suppress(_NoFramesError), atomic_path(path, keep_suffix=True) as temporary:
        try:
            yield add
        finally:
            writer.release()
        if not count:
            raise _NoFramesError
        # OpenCV says nothing when the disk takes no more.
        if round(cv2.VideoCapture(str(temporary)).get(cv2.CAP_PROP_FRAME_COUNT)) != count:
            raise OSError(errno.ENOSPC, "its frames were cut short")

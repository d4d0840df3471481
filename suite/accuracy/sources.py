"""Anybody's pictures and videos: find what a user's words name, read it frame by frame, write a video."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from suite.datasets.pictures import read_picture
from suite.errors import DataError, InputError, SuiteError
from suite.files import disk_faults

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
        video: a video file.
        camera: number of a camera.
        clip: whether its frames belong together.
    """

    name: str
    pictures: tuple[Path, ...] = ()
    video: Path | None = None
    camera: int | None = None
    clip: bool = True

    @property
    def stem(self) -> str:
        """What files drawn from it are called, without suffix."""
        path = self.video or (self.pictures[0] if self.pictures and not self.clip else None)
        return path.stem if path else re.sub(r"\W+", "-", Path(self.name).name)


def _in_order(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that sorts ``frame2`` before ``frame10``."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in parts]


def _of_file(path: Path) -> Source | None:
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return Source(str(path), pictures=(path,), clip=False)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return Source(str(path), video=path)
    return None


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
        if word.isdecimal() and word.isascii() and not path.exists():
            found.append(Source(f"camera {int(word)}", camera=int(word)))
            continue
        if path.is_file():
            source = _of_file(path)
            if source is None:
                raise InputError(f"{path}: neither a picture nor a video by its suffix; {known}")
            found.append(source)
            continue
        if path.is_dir():
            files = [item for item in path.iterdir() if item.is_file()]
        else:
            files = [item for item in Path(path.anchor or ".").glob(word[len(path.anchor) :] or ".") if item.is_file()]
            if not files:
                raise DataError(f"{word}: no such file, folder or camera, and no file fits it as a pattern")
        sources = [source for file in sorted(files, key=_in_order) if (source := _of_file(file))]
        if not sources:
            raise DataError(f"{word}: holds no picture and no video; {known}")
        pictures = tuple(picture for source in sources for picture in source.pictures)
        if frames_of_clips and pictures:
            found.append(Source(word, pictures=pictures))
            sources = [source for source in sources if not source.pictures]
        found += sources
    return found


class Reader:
    """Reads the frames of one source; use as a context manager.

    Attributes:
        total: number of frames that the source says it has; None for a camera.
        frames_per_s: its frame rate.

    Raises:
        DataError: if the file or camera is absent.
        InputError: if it cannot be opened as a video.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.total: int | None = len(source.pictures)
        self.frames_per_s = DEFAULT_FRAMES_PER_S
        self._capture: cv2.VideoCapture | None = None
        if source.pictures:
            return
        # FFmpeg tells its own doubts about damaged files on standard error, in a form that names no file.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(str(source.video) if source.video else source.camera or 0)
        if not self._capture.isOpened():
            self._capture.release()
            if source.camera is not None:
                raise DataError(f"{source.name}: cannot be opened; is it plugged in, and free?")
            raise InputError(f"{source.name}: cannot be read as a video; convert it, e.g. to H.264 in mp4")
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total = count if source.video and count > 0 else None
        rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.frames_per_s = rate if 0 < rate < 1000 else DEFAULT_FRAMES_PER_S

    def __enter__(self) -> Reader:
        """Return the reader."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the file or camera back."""
        if self._capture is not None:
            self._capture.release()

    def frames(self) -> Iterator[Frame | SuiteError]:
        """Yield (H, W, 3) uint8 RGB frames, or instead of one that cannot be read, the reason."""
        for path in self.source.pictures:
            try:
                yield read_picture(path)
            except SuiteError as error:
                yield error
        if self._capture is None:
            return
        number = 0
        while self._capture.grab():
            decoded, frame = self._capture.retrieve()
            if decoded and frame is not None and frame.ndim == 3:
                yield np.ascontiguousarray(frame[..., ::-1])
            else:
                yield InputError(
                    f"{self.source.name}: frame {number} cannot be decoded; convert or copy the file again"
                )
            number += 1
        # The count of some containers is their duration times their rate, a frame or two off.
        if self.total is not None and number < self.total - max(2, self.total // 50):
            yield InputError(
                f"{self.source.name}: ends after frame {number - 1}, its header promises {self.total}; "
                "copy the file again if it was cut short"
            )


class VideoWriter:
    """Writes frames of one size as mp4, sides cut to even numbers of pixels as the codecs want."""

    def __init__(self, path: Path, frames_per_s: float) -> None:
        self.path, self.frames_per_s = path, frames_per_s
        self.count = 0
        self._size = (0, 0)
        self._writer: cv2.VideoWriter | None = None

    def add(self, frame: Frame) -> None:
        """Append an RGB frame (H, W, 3); the first one decides the size.

        Raises:
            InputError: if no codec can be opened, or a frame has another size.
        """
        import cv2

        height, width = (max(2, side - side % 2) for side in frame.shape[:2])
        if self._writer is None:
            self._size = (width, height)
            self._writer = self._open()
        if (width, height) != self._size:
            raise InputError(f"{self.path}: a frame of {width}x{height} px cannot follow one of {self._size}")
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(frame[:height, :width]), cv2.COLOR_RGB2BGR))
        self.count += 1

    def _open(self) -> cv2.VideoWriter:
        import cv2

        for codec in CODECS:
            fourcc = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, fourcc, self.frames_per_s, self._size)
            if writer.isOpened():
                return writer
        raise InputError(f"{self.path}: this OpenCV writes no video; install opencv-python-headless from PyPI")

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


@contextmanager
def writing_video(path: Path, frames_per_s: float) -> Iterator[VideoWriter]:
    """Yield a writer of a video that appears at ``path`` when the block ends well and frames were added.

    Args:
        path: of the mp4; its folder is made.
        frames_per_s: at which it plays.

    Raises:
        DataError: if the disk is full or may not be written.
    """
    with disk_faults(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            # The suffix tells the container, so a temporary name ends alike.
            writer = VideoWriter(Path(folder) / path.name, frames_per_s)
            try:
                yield writer
            finally:
                writer.close()
            if writer.count:
                if not _plays(writer.path, writer.count):  # OpenCV says nothing when the disk takes no more
                    raise OSError(errno.EIO, "its frames were cut short, is the disk full?")
                writer.path.replace(path)


def _plays(path: Path, count: int) -> bool:
    """Whether a video opens and says that it has ``count`` frames."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    try:
        return capture.isOpened() and round(capture.get(cv2.CAP_PROP_FRAME_COUNT)) == count
    finally:
        capture.release()

"""Video files and cameras through OpenCV: opened safely, and told whether a file gave all its frames.

OpenCV's count of frames is no evidence that frames are missing: it may be made of duration and rate, or count frames
that are never shown. What a container says of its own size in bytes is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from reference_model.images import ImageError

if TYPE_CHECKING:
    import cv2

VIDEO_FORMATS = "avi,mov,mp4,matroska,webm,mpeg,mpegts,mpegvideo,m4v,ogg,asf,flv,gif,h264,hevc,ivf"
"""As FFmpeg names them: containers, and none that names other files."""
BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
"""What an MP4 or MOV file may begin with."""
OTHER_BOXES = (b"moof", b"mfra", b"sidx", b"styp", b"uuid", b"meta", b"udta", b"pnot")
MOST_BOXES = 100_000
HEAD_BYTES = 4096
ASF_HEADER, ASF_PROPERTIES = (
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),
    bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"),
)
"""Identifiers that a WMV file begins with, and that the object with its size begins with."""


def prepare_ffmpeg() -> None:
    """Let OpenCV's FFmpeg open nothing but the file it is given, and say nothing on standard error.

    For the whole process, where its environment does not already say otherwise.
    """
    only = f"protocol_whitelist;file|format_whitelist;{VIDEO_FORMATS}"
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", only)
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def opencv_name(path: Path) -> str:
    """Return the name by which OpenCV opens a video file, to read or to write it.

    Raises:
        ImageError: if the name is no UTF-8, which ends OpenCV in a segmentation fault.
    """
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        raise ImageError(f"{str(path)!a}: its name is not UTF-8, so OpenCV cannot open it; name it otherwise") from None
    return str(path.absolute())  # FFmpeg takes "a:b.mp4" for a protocol


def open_video(source: Path | int) -> cv2.VideoCapture:
    """Open a video file, or a camera by its number; raises ImageError if that is impossible."""
    prepare_ffmpeg()
    import cv2

    if isinstance(source, int):
        capture = cv2.VideoCapture(source)
    else:  # OpenCV's other readers take a picture for the first of a sequence
        capture = cv2.VideoCapture(opencv_name(source), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise ImageError(f"{source}: not a video that OpenCV reads; check the path, or convert it to H.264 in mp4")
    return capture


def check_end(path: Path, capture: cv2.VideoCapture, number: int) -> str:
    """Check that a video file which gives no more frames has given all of them.

    Args:
        path: the file.
        capture: it, opened.
        number: of the frames it gave.

    Returns:
        A caution if an MP4 or MOV file gave fewer than OpenCV counts, by over two and 2 %, else an empty text: either
        an edit hides the others, or the count was made of a rate that varies, or bytes in the file are damaged.

    Raises:
        ImageError: if the file has fewer bytes than its container says.
    """
    import cv2

    size, total = path.stat().st_size, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        whole = _stated_bytes(stream, head, size)
    if size < whole:
        last = f"after frame {number - 1}" if number else "before its first frame"
        raise ImageError(f"{path}: ends {last}, {size} of {whole} bytes; copy the file again, it was cut short")
    if head[4:8] not in BOXES or number >= total - max(2, total // 50):
        return ""
    return f"{number} of {total} counted frames could be read: the others are hidden by an edit, or damaged"


def _stated_bytes(stream: BinaryIO, head: bytes, size: int) -> int:
    """Return the size of a RIFF, MP4, ASF or Matroska file as it says itself; 0 where it does not."""
    if head[:4] == b"RIFF":
        stated = int.from_bytes(head[4:8], "little")
        return 8 + stated if stated < 0xFFFFFFFF else 0  # all ones: not known
    if head[4:8] in BOXES:
        return _end_of_boxes(stream, size)
    if head[:16] == ASF_HEADER:
        place = head.find(ASF_PROPERTIES)
        return int.from_bytes(head[place + 40 : place + 48], "little") if place > 0 else 0
    return _end_of_segment(head) if head[:4] == b"\x1a\x45\xdf\xa3" else 0


def _end_of_boxes(stream: BinaryIO, size: int) -> int:
    """Return where the last box of an MP4 or MOV file ends; 0 if it is not known, or beside what a camera appends."""
    place = 0
    for _ in range(MOST_BOXES):
        stream.seek(place)
        box = stream.read(16)
        length = int.from_bytes(box[8:16] if box[:4] == b"\0\0\0\1" else box[:4], "big")
        if length < 8 or box[4:8] not in BOXES + OTHER_BOXES:
            return 0
        place += length
        if place >= size:
            return place
    return 0


def _end_of_segment(head: bytes) -> int:
    """Return where a Matroska file's segment ends; 0 if that is not known."""
    place, length = 4, 0
    for _ in range(2):  # the header, then the segment behind its name of four bytes
        place += length
        width = 9 - head[place].bit_length() if place < len(head) else 9
        length = int.from_bytes(head[place : place + width], "big") & ((1 << 7 * width) - 1)
        if width > 8 or place + width > len(head) or length == (1 << 7 * width) - 1:  # all ones: not known
            return 0
        place += width + 4
    return place - 4 + length

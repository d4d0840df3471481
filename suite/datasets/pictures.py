"""The one reader of pictures, for training, prediction, health checks and drawing; and a quick check of many files.

Formats: JPEG (with the MPO of phones), PNG, WebP, BMP and TIFF; nothing else is opened, whatever a file is called. Grey
and palette pictures become RGB, alpha is dropped, CMYK is converted, 16 bits are scaled to 8.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from suite.errors import DataError, InputError, first_few
from suite.files import LFS_POINTER
from suite.progress import say, track

MAX_SIDE_PX = 2**15
"""Longest side of a picture in pixels; the product of two still fits the 32-bit run lengths of a mask."""

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""As Pillow calls them; an MPO is opened as JPEG."""
ORIENTATION = 0x0112
"""EXIF tag: 1 upright, 2 to 4 mirrored or turned by 180 degrees, 5 to 8 turned by 90 degrees."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a stored picture as its orientation says."""

TAIL_BYTES = 4096
"""Where the marks that end a JPEG or PNG are looked for; some cameras write more behind them."""

NAMED = 20
"""Bad files that a message names; the others are counted."""

DIGESTED = 20_000
"""Files of which `pictures_digest` reads a part, at least, where there are so many."""
UNCOMPRESSED = (".bmp", ".tif", ".tiff")

OPENED_AT_ONCE, SHOWN_FROM = 8, 1000
"""Files that a check has open, and from how many on it is long enough for a progress bar."""

Size = tuple[int, int]


def located(folder: Path, name: str) -> Path:
    """Return where a file name of an annotations file leads; backslashes are separators where no file has them."""
    path = folder / name
    if "\\" in name and not path.exists():
        slashed = folder / name.replace("\\", "/")
        return slashed if slashed.exists() else path
    return path


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture of one of the formats; whatever fault shows, also while it is decoded, is named with the file."""
    try:
        if path.exists() and not path.is_file():  # reading a pipe or a device may never end
            raise InputError(f"{path}: is not a regular file; give the path of a picture")
        with Image.open(path, formats=FORMATS) as image:
            if max(image.size) > MAX_SIDE_PX:
                raise InputError(
                    f"{path}: is {image.width}x{image.height} pixels, above {MAX_SIDE_PX}; make it smaller"
                )
            yield image
    except FileNotFoundError:
        hint = " (its name holds backslashes; write slashes)" if "\\" in path.name else ""
        raise DataError(f"{path}: no such image{hint}; check the image folder") from None
    except UnidentifiedImageError:
        what = "is no JPEG, PNG, WebP, BMP or TIFF picture; convert or download it again"
        with path.open("rb") as stream:
            if stream.read(len(LFS_POINTER)) == LFS_POINTER:
                what = "is a Git LFS pointer, not the picture; run 'git lfs pull' where it comes from"
        raise InputError(f"{path}: {what}") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: has more pixels than Pillow opens; make it smaller") from None
    except UnicodeEncodeError:
        raise InputError(f"{path!a}: this locale cannot write its name; set PYTHONUTF8=1") from None
    except (
        OSError,
        ValueError,
        SyntaxError,
        EOFError,
        IndexError,
        OverflowError,
    ) as error:
        raise InputError(f"{path}: cannot be read as an image ({error}); copy or download it again") from None


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF":  # Pillow turns it itself, size and pixels.
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, KeyError, TypeError):  # damaged EXIF data say nothing
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(path: Path, image: Image.Image, size: Size | None) -> bool:
    """Tell whether a picture is to be shown as its EXIF orientation says.

    Without a size it is, as every viewer does. Otherwise the annotations' size decides: it is the turned picture's or
    the stored one's; where it is both, the stored one is taken, and where it is neither, the picture is refused.
    """
    orientation = _orientation(image)
    if size is None:
        return orientation > 1
    stored = (image.height, image.width)
    if stored == size:
        return False
    if orientation >= 5 and stored[::-1] == size:
        return True
    exif = f" (EXIF orientation {orientation})" if orientation > 1 else ""
    raise InputError(
        f"{path}: is {image.width}x{image.height} pixels{exif} but its annotations say {size[1]}x{size[0]}; "
        "is the folder another dataset's?"
    )


def _rgb(path: Path, image: Image.Image) -> Image.Image:
    """Return a picture with 8 bits a channel, RGB."""
    if image.mode == "F":
        raise InputError(f"{path}: has floating-point pixels, whose range nobody can tell; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << 16:
            raise InputError(f"{path}: has pixels beyond 16 bits; save it with 8 or 16 bits")
        image = Image.fromarray((values.astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode == "P":  # Pillow warns of palettes with transparency
        image = image.convert("RGBA")
    return image.convert("RGB")


def read_picture(path: Path, size: Size | None = None) -> NDArray[np.uint8]:
    """Read a picture as RGB.

    Args:
        path: the file.
        size: the (height, width) in pixels that its annotations give, or None.

    Returns:
        (H, W, 3) uint8, a writable array; turned as EXIF says where ``size`` is that of the turned picture, or None.

    Raises:
        DataError: if the file is absent.
        InputError: if it cannot be decoded, has floating-point pixels or another size.
    """
    with _opened(path) as image:
        turn = TURNS[_orientation(image)] if _turned(path, image, size) else None
        picture = _rgb(path, image)
        return np.array(picture if turn is None else picture.transpose(turn))


def _ends_well(image: Image.Image, path: Path) -> bool:
    """Tell whether the last bytes of a JPEG or PNG file hold its end mark; where not, only decoding tells."""
    mark = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND"}.get(image.format or "")
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return mark is not None and mark in stream.read()


def check_picture(path: Path, size: Size, deep: bool = False) -> str:
    """Look at a picture's header, size and end; decode it where these do not tell, or if ``deep``.

    Return a caution, or an empty string; errors as of `read_picture`.
    """
    with _opened(path) as image:
        turned = _turned(path, image, size)
        orientation = _orientation(image)
        if deep or image.mode.startswith(("I", "F")) or not _ends_well(image, path):
            _rgb(path, image)
    if orientation == 1 or turned or (orientation >= 5 and size[0] != size[1]):
        return ""
    return f"{path}: its EXIF orientation {orientation} is not applied, because its size does not tell whether it was"


@dataclass
class Checked:
    """What a check of files found: messages on missing and on bad ones, and cautions."""

    missing: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    cautions: list[str] = field(default_factory=list)


def check_pictures(files: Sequence[tuple[Path, Size]], deep: bool = False, title: str = "check pictures") -> Checked:
    """Check many pictures in parallel, with a progress bar.

    Args:
        files: path and the (height, width) in pixels that its annotations give.
        deep: whether to decode every one.
        title: of the bar.
    """
    found = Checked()

    def look(item: tuple[Path, Size]) -> tuple[list[str], str] | None:
        try:
            caution = check_picture(*item, deep=deep)
        except DataError as error:
            return found.missing, str(error)
        except InputError as error:
            return found.bad, str(error)
        return (found.cautions, caution) if caution else None

    silent = len(files) < SHOWN_FROM
    with track(title, len(files), silent=silent) as step, ThreadPoolExecutor(OPENED_AT_ONCE) as pool:
        for outcome in pool.map(look, files):
            if outcome is not None:
                outcome[0].append(outcome[1])
            step()
    return found


def pictures_digest(paths: Sequence[Path]) -> str:
    """Return what tells pictures from others of the same names: SHA-256 of all sizes and of a part of each file.

    The part is the middle of a compressed file, which another picture of the same size does not share, and all of an
    uncompressed one. Of more than `DIGESTED` files some are read. Neither folder nor times count: copies are the same.
    """
    found, step = hashlib.sha256(), max(1, len(paths) // DIGESTED)
    for place, path in enumerate(paths):
        with suppress(OSError):  # absent ones are named when they are read
            known = path.stat()
            found.update(f"{place} {known.st_size} ".encode())
            if place % step == 0 and stat.S_ISREG(known.st_mode):
                with path.open("rb") as stream:
                    if path.suffix.lower() in UNCOMPRESSED:
                        found.update(hashlib.file_digest(stream, "sha256").digest())
                    else:
                        # A PNG may be stored as it is; then another picture is only likely to differ somewhere.
                        parts = 16 if path.suffix.lower() == ".png" else 1
                        for part in range(parts):
                            stream.seek((2 * part + 1) * known.st_size // (2 * parts))
                            found.update(stream.read(TAIL_BYTES))
    return found.hexdigest()


def require_pictures(files: Sequence[tuple[Path, Size]]) -> None:
    """Check many pictures before any work; say cautions, and name bad files (DataError if one is missing)."""
    found = check_pictures(files)
    if found.cautions:
        say(f"caution: {first_few(found.cautions, NAMED, '; ')}")
    if faults := found.missing + found.bad:
        message = f"{len(faults)} of {len(files)} pictures cannot be used: {first_few(faults, NAMED, '; ')}"
        raise (DataError if found.missing else InputError)(message)

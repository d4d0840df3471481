"""Writes palette PNG images (W3C PNG, third edition) whose bytes are the same on every machine.

Different builds of zlib compress the same bytes differently, so a dataset that is pinned by its digest cannot use them.
The deflate stream here (RFC 1950, 1951) is one block of fixed codes that knows one kind of match, the repetition of the
last byte: what rows consist of that differ little from the row above.
"""

from __future__ import annotations

import functools
import zlib

import numpy as np
from numpy.typing import NDArray

_UP = 2
_MOST_REPEATS = 257


def _symbol(number: int) -> str:
    """Return the bits of a literal, an end of block (256) or a match length, in the order sent (RFC 1951, 3.2.6)."""
    if number < 144:
        return f"{0x30 + number:08b}"
    if number < 256:
        return f"{0x190 + number - 144:09b}"
    return f"{number - 256:07b}" if number < 280 else f"{0xC0 + number - 280:08b}"


@functools.cache
def _run(value: int, count: int) -> str:
    """Return the bits of ``count`` equal bytes: a literal, then a match one byte before (RFC 1951, 3.2.5)."""
    repeats = min(count - 1, _MOST_REPEATS)
    if repeats < 3:
        return _symbol(value) * count
    above = repeats - 3
    width = max(above.bit_length() - 3, 0)
    extra = f"{above % (1 << width):0{width}b}"[::-1] if width else ""
    match = _symbol(257 + 4 * width + (above >> width)) + extra + "00000"
    return _symbol(value) + match + (_run(value, count - 1 - repeats) if count - 1 > repeats else "")


def compress(data: bytes) -> bytes:
    """Return ``data`` as a zlib stream, the same bytes on every machine.

    Args:
        data: at least one byte.

    Returns:
        A zlib stream (RFC 1950) that any inflater reads.
    """
    array = np.frombuffer(data, np.uint8)
    starts = np.flatnonzero(np.concatenate(([True], array[1:] != array[:-1])))
    counts = np.diff(np.append(starts, array.size))
    bits = "110" + "".join(map(_run, array[starts].tolist(), counts.tolist())) + _symbol(256)
    packed = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    return b"\x78\x01" + packed + zlib.adler32(data).to_bytes(4, "big")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def encode_palette_png(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode an image of palette indices.

    Args:
        indices: (H, W) uint8 palette indices below N, H and W at least 1.
        palette: (N, 3) uint8 RGB colours, 1 <= N <= 16.

    Returns:
        The PNG file: 4-bit palette, not interlaced, every row as its difference from the row above.
    """
    height, width = indices.shape
    even = np.pad(indices, ((1, 0), (0, width % 2)))
    bytewise = even[:, ::2] << 4 | even[:, 1::2]
    rows = np.pad(bytewise[1:] - bytewise[:-1], ((0, 0), (1, 0)), constant_values=_UP)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((4, 3, 0, 0, 0))
    chunks = {b"IHDR": header, b"PLTE": palette.tobytes(), b"IDAT": compress(rows.tobytes()), b"IEND": b""}
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, chunks, chunks.values()))

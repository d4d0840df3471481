"""Writes palette PNG images (W3C PNG, third edition) whose bytes are the same on every machine."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from suite.datasets.deflate import compress

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PAETH = 4


def _chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def _paeth(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the Paeth residuals (PNG 9.4) of an (H, W) image, (H, W), modulo 256."""
    padded = np.zeros((pixels.shape[0] + 1, pixels.shape[1] + 1), np.int16)
    padded[1:, 1:] = pixels
    left, above, corner = padded[1:, :-1], padded[:-1, 1:], padded[:-1, :-1]
    to_left, to_above = np.abs(above - corner), np.abs(left - corner)
    to_corner = np.abs(left + above - 2 * corner)
    predicted = np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )
    return (pixels - predicted).astype(np.uint8)


def encode_palette_png(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Encode an image of palette indices.

    Args:
        indices: (H, W) palette indices.
        palette: (N, 3) RGB colours in 0..255, 1 <= N <= 256.

    Returns:
        The PNG file: 8-bit palette, not interlaced, every row filtered with Paeth.

    Raises:
        ValueError: if the shapes are wrong or an index has no colour.
    """
    if indices.ndim != 2 or indices.size == 0 or indices.dtype != np.uint8:
        raise ValueError(f"palette indices must be a non-empty (H, W) uint8 array, not {indices.shape} {indices.dtype}")
    if palette.ndim != 2 or palette.shape[1] != 3 or not 1 <= len(palette) <= 256 or palette.dtype != np.uint8:
        raise ValueError(f"a palette must be an (N, 3) uint8 array, not {palette.shape} {palette.dtype}")
    if int(indices.max()) >= len(palette):
        raise ValueError(f"palette index {indices.max()} has no colour, the palette has {len(palette)}")
    height, width = indices.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = _PAETH
    rows[:, 1:] = _paeth(indices)
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes((8, 3, 0, 0, 0))
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", palette.tobytes()),
            _chunk(b"IDAT", compress(rows.tobytes())),
            _chunk(b"IEND", b""),
        )
    )

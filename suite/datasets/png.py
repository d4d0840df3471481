"""Writes palette PNG images (W3C PNG, third edition) whose bytes are the same on every machine.

Different builds of zlib compress the same bytes differently, so a dataset that is pinned by its digest cannot use them.
The deflate encoder here (RFC 1950, 1951) knows one kind of match, the repetition of the last byte, which is what
filtered flat colours consist of, and one dynamic Huffman block per stream.
"""

from __future__ import annotations

import heapq
import itertools
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PAETH = 4
END_OF_BLOCK = 256
LONGEST_MATCH = 258
SHORTEST_MATCH = 3
# RFC 1951, 3.2.5: first length and number of extra bits of the codes 257..285.
_LENGTH_BASE = (3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195,
                227, 258)  # fmt: skip
_LENGTH_EXTRA = (0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0)
# RFC 1951, 3.2.7: the order in which the lengths of the code length codes are sent.
_HEADER_ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)

_CODE_OF_LENGTH = np.searchsorted(np.array(_LENGTH_BASE), np.arange(LONGEST_MATCH + 1), side="right") - 1


def huffman_lengths(counts: list[int], longest: int) -> list[int]:
    """Return the Huffman code length of every symbol.

    Args:
        counts: occurrences per symbol; symbols that never occur get length 0. At least two symbols must occur.
        longest: the longest code allowed; counts are flattened until the code fits.

    Returns:
        One length per symbol, 0..longest, of a complete prefix code.
    """
    lengths, tie = [0] * len(counts), len(counts)
    # The second item breaks ties, so that the tree is the same everywhere.
    heap = [(count, symbol, [symbol]) for symbol, count in enumerate(counts) if count]
    heapq.heapify(heap)
    while len(heap) > 1:
        first, second = heapq.heappop(heap), heapq.heappop(heap)
        leaves = first[2] + second[2]
        for leaf in leaves:
            lengths[leaf] += 1
        heapq.heappush(heap, (first[0] + second[0], tie, leaves))
        tie += 1
    return lengths if max(lengths) <= longest else huffman_lengths([(count + 1) // 2 for count in counts], longest)


def canonical_codes(lengths: list[int]) -> list[int]:
    """Return the canonical Huffman codes of RFC 1951, 3.2.2, bit-reversed because deflate sends them high bit first."""
    codes = [0] * len(lengths)
    code, previous = 0, 0
    for bits, symbol in sorted((bits, symbol) for symbol, bits in enumerate(lengths) if bits):
        code <<= bits - previous
        previous = bits
        codes[symbol] = int(f"{code:0{bits}b}"[::-1], 2)
        code += 1
    return codes


def _run_length(lengths: list[int]) -> list[tuple[int, int, int]]:
    """Return code lengths as (symbol, extra value, extra width) with the repeats 16, 17 and 18 of RFC 1951, 3.2.7."""
    tokens: list[tuple[int, int, int]] = []
    for value, same in itertools.groupby(lengths):
        left, longest = len(list(same)), 138 if value == 0 else 7
        while left:
            run = min(left, longest)
            if value == 0 and run >= 11:
                tokens.append((18, run - 11, 7))
            elif value == 0 and run >= 3:
                tokens.append((17, run - 3, 3))
            elif value and run >= 4:
                tokens += [(value, 0, 0), (16, run - 4, 2)]
            else:
                tokens += [(value, 0, 0)] * run
            left -= run
    return tokens


def _header(lengths: list[int]) -> list[tuple[int, int]]:
    """Return the start of a final dynamic block as (bits, number of bits): literal/length code, one distance code."""
    used = max(symbol for symbol, bits in enumerate(lengths) if bits) + 1
    tokens = _run_length([*lengths[:used], 1])
    counts = [0] * 19
    for symbol, _, _ in tokens:
        counts[symbol] += 1
    header_lengths = huffman_lengths(counts, 7)
    codes = canonical_codes(header_lengths)
    sent = max(place for place, symbol in enumerate(_HEADER_ORDER) if header_lengths[symbol]) + 1
    found = [(0b101, 3), (used - 257, 5), (0, 5), (sent - 4, 4)]
    found += [(header_lengths[symbol], 3) for symbol in _HEADER_ORDER[:sent]]
    for symbol, extra, width in tokens:
        found += [(codes[symbol], header_lengths[symbol]), (extra, width)]
    return found


def _tokens(data: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (symbols, match lengths): literals have symbol 0..255 and match length 0, matches symbol 257..285."""
    starts = np.flatnonzero(np.concatenate(([True], data[1:] != data[:-1])))
    runs = np.diff(np.append(starts, data.size))
    full, rest = np.divmod(runs - 1, LONGEST_MATCH)
    ends_in_match = rest >= SHORTEST_MATCH
    per_run = 1 + full + np.where(ends_in_match, 1, rest)
    place = np.arange(per_run.sum()) - np.repeat(np.cumsum(per_run) - per_run, per_run)
    full, rest, ends_in_match = (np.repeat(values, per_run) for values in (full, rest, ends_in_match))
    is_full = (place >= 1) & (place <= full)
    is_rest = (place == full + 1) & ends_in_match
    matches = np.where(is_full, LONGEST_MATCH, np.where(is_rest, rest, 0)).astype(np.int64)
    literals = np.repeat(data[starts], per_run).astype(np.int64)
    return np.where(matches > 0, 257 + _CODE_OF_LENGTH[matches], literals), matches


def compress(data: bytes) -> bytes:
    """Return ``data`` as a zlib stream, the same bytes on every machine.

    Args:
        data: at least one byte.

    Returns:
        A zlib stream (RFC 1950) that any inflater reads.
    """
    array = np.frombuffer(data, np.uint8)
    symbols, matches = _tokens(array)
    counts = np.bincount(symbols, minlength=286)
    counts[END_OF_BLOCK] = 1
    lengths = huffman_lengths(counts.tolist(), 15)
    widths = np.array(lengths, np.int64)
    codes = np.array(canonical_codes(lengths), np.int64)

    length_code = np.where(matches > 0, symbols - 257, 0)
    extra_width = np.array(_LENGTH_EXTRA)[length_code] * (matches > 0)
    extra = (matches - np.array(_LENGTH_BASE)[length_code]) * (matches > 0)
    values, sizes = np.array(_header(lengths), np.int64).T
    # The single distance code (repeat the byte just before) is one zero bit after the length.
    values = np.concatenate((values, codes[symbols] | (extra << widths[symbols]), codes[[END_OF_BLOCK]]))
    sizes = np.concatenate((sizes, widths[symbols] + extra_width + (matches > 0), widths[[END_OF_BLOCK]]))
    first = np.cumsum(sizes) - sizes
    shift = np.arange(int(sizes.sum())) - np.repeat(first, sizes)
    packed = np.packbits(((np.repeat(values, sizes) >> shift) & 1).astype(np.uint8), bitorder="little")
    return b"\x78\x01" + packed.tobytes() + zlib.adler32(data).to_bytes(4, "big")


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
        indices: (H, W) uint8 palette indices below N, H and W at least 1.
        palette: (N, 3) uint8 RGB colours, 1 <= N <= 256.

    Returns:
        The PNG file: 8-bit palette, not interlaced, every row filtered with Paeth.
    """
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

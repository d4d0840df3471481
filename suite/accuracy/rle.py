"""Checks many compressed run-length codes at once, before any of them reaches compiled code that trusts them.

A code is a string of run lengths, background first, down the columns. A run is written in groups of five bits, least
significant first, one character (48 to 111) a group; bit 32 says that another group follows, and bit 16 of the last
group is the sign. From the fourth run on, the difference to the run two places earlier is written. pycocotools reads
past the end of a string that stops inside a run, and never comes back from some whose runs do not fill the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_CHARACTERS = 1 << 16
"""Arrays of one chunk stay in the processor's cache."""

MAX_GROUPS_PER_RUN = 7
LONGEST_RUN = 1 << 31
ALIEN = "its counts hold a character outside '0' to 'o'"

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class CodeCheck:
    """What was found: the first bad code and why, or, where all are good, the pixels that each mask covers."""

    areas_px: Integers
    bad_index: int | None = None
    reason: str = ""
    has_empty_runs: bool = False
    """Whether any run after a code's first is empty, which no encoder writes."""


def _chunks(lengths: Integers) -> Iterator[tuple[int, int]]:
    start, ends = 0, np.cumsum(lengths)
    while start < len(lengths):
        done = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, done + CHUNK_CHARACTERS, side="right"))
        stop = min(max(stop, start + 1), start + (1 << 14))
        yield start, stop
        start = stop


def _written(groups: NDArray[np.uint8], last: Integers, sizes: Integers) -> Integers:
    """Return the number written for each run; ``last`` is the place of its last group, ``sizes`` its group count."""
    values = (((groups[last] & 31) ^ 16).astype(np.int64)) - 16
    for size in range(2, int(sizes.max()) + 1):
        longer = np.flatnonzero(sizes == size)
        if len(longer):
            first = last[longer] - (size - 1)
            values[longer] <<= 5 * (size - 1)
            for place in range(size - 1):
                values[longer] += (groups[first + place] & 31).astype(np.int64) << (5 * place)
    return values


def _per_code(sums: Integers, first: Integers, stop: Integers, base: Integers) -> tuple[Integers, Integers]:
    """Return the smallest run and the total of every second run from ``first`` to before ``stop`` of each code.

    Args:
        sums: for each run, the sum of its own and every second written number before it, in the whole chunk.
        first: place of the first run of the chain.
        stop: place after the code's last run.
        base: the part of ``sums`` that comes from before the chain.

    Returns:
        The smallest (1 where the chain is empty) and the total run length of each code.
    """
    smallest, total = np.ones(len(first), np.int64), np.zeros(len(first), np.int64)
    for parity in (0, 1):
        codes = np.flatnonzero((first % 2 == parity) & (first < stop))
        if not len(codes):
            continue
        chain = np.append(sums[parity::2], 0)
        start, end = (first[codes] - parity) // 2, (stop[codes] - parity + 1) // 2
        bounds = np.stack([start, end], axis=1).ravel()
        smallest[codes] = np.minimum.reduceat(chain, bounds)[::2] - base[codes]
        total[codes] = np.add.reduceat(chain, bounds)[::2] - base[codes] * (end - start)
    return smallest, total


def _spelling(groups: NDArray[np.uint8], starts: Integers, ends: Integers) -> tuple[NDArray[np.bool_], str] | None:
    """Return which strings are not sequences of whole groups, and why, or None."""
    if groups.max(initial=0) > 63:
        return np.maximum.reduceat(groups, starts) > 63, ALIEN
    unfinished = groups[ends - 1] > 31
    return (unfinished, "its counts end inside a run") if unfinished.any() else None


def _check_chunk(codes: Sequence[str], areas: Integers, start: int) -> CodeCheck:
    def first(bad: NDArray[np.bool_], reason: str) -> CodeCheck:
        return CodeCheck(areas[:0], start + int(np.argmax(bad)), reason)

    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    if not lengths.all():
        return first(lengths == 0, "its counts are empty")
    joined = "".join(codes)
    if not joined.isascii():
        return first(np.array([not code.isascii() for code in codes]), ALIEN)
    groups = np.frombuffer(joined.encode("ascii"), np.uint8) - np.uint8(48)
    string_ends = np.cumsum(lengths)
    if (misspelt := _spelling(groups, string_ends - lengths, string_ends)) is not None:
        return first(*misspelt)
    last = np.flatnonzero(groups < 32)
    sizes = np.diff(last, prepend=-1)
    stop = np.searchsorted(last, string_ends)
    begin = np.append(0, stop[:-1])
    if sizes.max() > MAX_GROUPS_PER_RUN:
        return first(np.maximum.reduceat(sizes, begin) > MAX_GROUPS_PER_RUN, "its counts hold a run that is too long")
    written = _written(groups, last, sizes)
    sums = np.empty_like(written)
    for parity in (0, 1):
        np.cumsum(written[parity::2], out=sums[parity::2])
    if int(sums.max()) - int(sums.min()) > LONGEST_RUN * len(codes):
        # Totals could overflow below. At least one code alone goes beyond what any frame can hold.
        if len(codes) == 1:
            return CodeCheck(areas[:0], start, "its counts hold a run that is too long")
        alone = (_check_chunk(codes[i : i + 1], areas[i : i + 1], start + i) for i in range(len(codes)))
        return next(check for check in alone if check.bad_index is not None)
    odd_least, odd_total = _per_code(sums, begin + 1, stop, np.where(begin > 0, sums[begin - 1], 0))
    even_least, even_total = _per_code(sums, begin + 2, stop, sums[begin])
    least = np.minimum(odd_least, even_least)
    negative = (least < 0) | (written[begin] < 0)
    if negative.any():
        return first(negative, "its counts hold a negative run")
    wrong = written[begin] + odd_total + even_total != areas
    if wrong.any():
        return first(wrong, "its counts do not add up to height x width")
    return CodeCheck(odd_total, has_empty_runs=bool((least == 0).any()))


def check_codes(codes: Sequence[str], areas: Integers) -> CodeCheck:
    """Check that every code is well formed and fills its frame.

    Args:
        codes: compressed counts, one string per mask.
        areas: height x width of each mask's frame, shape (len(codes),).

    Returns:
        The first bad code with the reason, or a check without ``bad_index`` and with ``areas_px``, shape (len(codes),).
    """
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    covered, has_empty_runs = np.zeros(len(codes), np.int64), False
    for start, stop in _chunks(lengths):
        checked = _check_chunk(codes[start:stop], areas[start:stop], start)
        if checked.bad_index is not None:
            return checked
        covered[start:stop] = checked.areas_px
        has_empty_runs |= checked.has_empty_runs
    return CodeCheck(covered, has_empty_runs=has_empty_runs)

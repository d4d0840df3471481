"""Checks many compressed run-length codes at once, before any of them reaches compiled code that trusts them.

A code is a string of run lengths, background first, down the columns. A run is written in groups of five bits, least
significant first, one character (48 to 111) a group; bit 32 says that another group follows, and bit 16 of the last
group is the sign. From the fourth run on, the difference to the run two places earlier is written. pycocotools reads
past the end of a string that stops inside a run, and silently scores a code whose runs do not fill the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNK_CHARACTERS = 1 << 21
MAX_GROUPS_PER_RUN = 7


@dataclass(frozen=True)
class CodeCheck:
    """What was found: the first bad code and why (None: all good), and whether any run after the first is empty."""

    bad_index: int | None = None
    reason: str = ""
    has_empty_runs: bool = False


def _chunks(lengths: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    start, ends = 0, np.cumsum(lengths)
    while start < len(lengths):
        done = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + CHUNK_CHARACTERS, side="right")))
        yield start, stop
        start = stop


def _first(bad: NDArray[np.bool_], start: int, reason: str) -> CodeCheck | None:
    return CodeCheck(start + int(np.argmax(bad)), reason) if bad.any() else None


def _runs(groups: NDArray[np.uint8], last: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the written value of every run; ``last`` are the positions of the runs' last groups."""
    first = last - lengths + 1
    values: NDArray[np.int64] = (groups[first] & 31).astype(np.int64)
    for place in range(1, int(lengths.max())):
        longer = np.flatnonzero(lengths > place)
        values[longer] |= (groups[first[longer] + place] & 31).astype(np.int64) << (5 * place)
    negative = np.flatnonzero(groups[last] & 16)
    values[negative] -= np.int64(1) << (5 * lengths[negative])
    return values


def _undo_differences(values: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the run lengths: every second run of a code is a running sum, the first run stands alone."""
    counts = values.copy()
    code_of_run = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))
    place = np.arange(len(values)) - starts[code_of_run]
    for parity in (1, 0):
        chain = np.flatnonzero((place % 2 == parity) & (place > 0))
        if not len(chain):
            continue
        sums = np.cumsum(values[chain])
        head = place[chain] == (1 if parity else 2)
        head_positions = np.flatnonzero(head)
        before = sums[head_positions] - values[chain[head_positions]]
        counts[chain] = sums - before[np.cumsum(head) - 1]
    return counts


def _check_chunk(codes: Sequence[bytes], areas: NDArray[np.int64], start: int) -> CodeCheck:
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    if (bad := _first(lengths == 0, start, "its counts are empty")) is not None:
        return bad
    groups = np.frombuffer(b"".join(codes), np.uint8) - np.uint8(48)
    string_ends = np.cumsum(lengths)
    string_starts = string_ends - lengths
    alien = np.maximum.reduceat(groups, string_starts) > 63
    if (bad := _first(alien, start, "its counts hold a character outside '0' to 'o'")) is not None:
        return bad
    if (bad := _first((groups[string_ends - 1] & 32) > 0, start, "its counts end inside a run")) is not None:
        return bad
    last = np.flatnonzero((groups & 32) == 0)
    run_lengths = np.diff(last, prepend=-1)
    run_starts = np.searchsorted(last, string_starts)
    too_long = np.maximum.reduceat(run_lengths, run_starts) > MAX_GROUPS_PER_RUN
    if (bad := _first(too_long, start, "its counts hold a run that is too long")) is not None:
        return bad
    counts = _undo_differences(_runs(groups, last, run_lengths), run_starts)
    if (
        bad := _first(np.minimum.reduceat(counts, run_starts) < 0, start, "its counts hold a negative run")
    ) is not None:
        return bad
    filled = np.add.reduceat(counts, run_starts)
    if (bad := _first(filled != areas, start, "its counts do not add up to height x width")) is not None:
        return bad
    empty = counts == 0
    empty[run_starts] = False
    return CodeCheck(has_empty_runs=bool(empty.any()))


def check_codes(codes: Sequence[bytes], areas: NDArray[np.int64]) -> CodeCheck:
    """Check that every code is well formed and fills its frame.

    Args:
        codes: compressed counts, one bytes object per mask.
        areas: height x width of each mask's frame, shape (len(codes),).

    Returns:
        The first bad code with the reason, or a check without ``bad_index``.
    """
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    has_empty_runs = False
    for start, stop in _chunks(lengths):
        checked = _check_chunk(codes[start:stop], areas[start:stop], start)
        if checked.bad_index is not None:
            return checked
        has_empty_runs |= checked.has_empty_runs
    return CodeCheck(has_empty_runs=has_empty_runs)

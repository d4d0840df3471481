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

CHUNK_CHARACTERS = 1 << 17
"""Arrays of one chunk stay in the processor's cache."""

MAX_GROUPS_PER_RUN = 7
LONGEST_RUN = 1 << 31
FOLLOWED = bytes(range(48 + 32, 48 + 64))
"""The characters that another one follows in the same run."""

SIGNED = bytes(((group - 48) & 31 ^ 16) - 16 & 255 for group in range(256))
"""The number that each character states as the last one of a run, a signed byte."""

ALIEN = "its counts hold a character outside '0' to 'o'"

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _LongRuns:
    """The runs of more than one group.

    ``final`` holds the place of the last group of each, ``groups`` the number of the groups before it, and ``run`` the
    number of the run among all; ``followed`` holds the places of all groups that another one follows.
    """

    final: Integers
    groups: Integers
    run: Integers
    followed: Integers

    @classmethod
    def of(cls, groups: NDArray[np.uint8]) -> _LongRuns:
        followed = np.flatnonzero(groups > 31)
        ends = np.flatnonzero(groups[followed + 1] < 32)
        final = followed[ends] + 1
        amounts = ends.copy()
        amounts[1:] -= ends[:-1]
        amounts[:1] += 1
        # Before the last group of a run are all earlier runs and all groups that are followed so far.
        return cls(final, amounts, final - ends - 1, followed)


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


def _written(code: bytes, groups: NDArray[np.uint8], longer: _LongRuns) -> Integers:
    """Return the number written for each run, in order."""
    values = np.frombuffer(code.translate(SIGNED, FOLLOWED), np.int8).astype(np.int64)
    number, final, amounts, run = values[longer.run], longer.final, longer.groups, longer.run
    for place in range(1, int(amounts.max(initial=0)) + 1):
        number = (number << 5) + (groups[final - place] & 31)
        values[run] = number
        more = np.flatnonzero(amounts > place)
        number, final, amounts, run = number[more], final[more], amounts[more], run[more]
    return values


def _per_code(written: Integers, begin: Integers, stop: Integers) -> tuple[Integers, Integers, Integers] | None:
    """Undo the differences.

    Args:
        written: the number written for each run of all codes.
        begin: place of the first run of each code.
        stop: place after its last run.

    Returns:
        For each code its smallest run but the first (1 where there is no other), the sum of its second, fourth, ...
        and of its third, fifth, ... runs; None where a sum is beyond what frames can hold.
    """
    smallest = np.ones(len(begin), np.int64)
    totals = np.zeros((2, len(begin)), np.int64)
    for parity in (0, 1):
        # In one running sum over every second number of the chunk, each code has one chain: the runs from its second
        # on, or from its third. What was summed before the chain begins is the base to take off.
        sums = np.zeros((len(written) - parity + 1) // 2 + 1, np.int64)
        np.cumsum(written[parity::2], out=sums[:-1])
        if int(sums.max()) - int(sums.min()) > LONGEST_RUN * len(begin):
            return None
        offset = np.where(begin % 2 == parity, 2, 1)
        start, end = (begin + offset - parity) // 2, (stop - parity + 1) // 2
        codes = np.flatnonzero(start < end)
        if len(codes):
            start, end = start[codes], end[codes]
            base = np.where(start > 0, sums[start - 1], 0)
            bounds = np.stack([start, end], axis=1).ravel()
            smallest[codes] = np.minimum(smallest[codes], np.minimum.reduceat(sums, bounds)[::2] - base)
            totals[offset[codes] - 1, codes] = np.add.reduceat(sums, bounds)[::2] - base * (end - start)
    return smallest, totals[0], totals[1]


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
    code = joined.encode("ascii")
    groups = np.frombuffer(code, np.uint8) - np.uint8(48)
    string_ends = np.cumsum(lengths)
    if (misspelt := _spelling(groups, string_ends - lengths, string_ends)) is not None:
        return first(*misspelt)
    longer = _LongRuns.of(groups)
    if longer.groups.max(initial=0) >= MAX_GROUPS_PER_RUN:
        too_long = longer.final[longer.groups >= MAX_GROUPS_PER_RUN]
        bad = np.isin(np.arange(len(codes)), np.searchsorted(string_ends, too_long, side="right"))
        return first(bad, "its counts hold a run that is too long")
    stop = string_ends - np.searchsorted(longer.followed, string_ends)
    begin = np.append(0, stop[:-1])
    written = _written(code, groups, longer)
    found = _per_code(written, begin, stop)
    if found is None:
        # At least one code alone goes beyond what any frame can hold.
        if len(codes) == 1:
            return CodeCheck(areas[:0], start, "its counts hold a run that is too long")
        alone = (_check_chunk(codes[i : i + 1], areas[i : i + 1], start + i) for i in range(len(codes)))
        return next(check for check in alone if check.bad_index is not None)
    smallest, covered, background = found
    negative = (smallest < 0) | (written[begin] < 0)
    if negative.any():
        return first(negative, "its counts hold a negative run")
    wrong = written[begin] + covered + background != areas
    if wrong.any():
        return first(wrong, "its counts do not add up to height x width")
    return CodeCheck(covered, has_empty_runs=bool((smallest == 0).any()))


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

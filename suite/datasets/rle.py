"""Checks many compressed run-length codes at once, before any of them reaches compiled code that trusts them.

A code is a string of run lengths, background first, down the columns. A run is written in groups of five bits, least
significant first, one character (48 to 111) a group; bit 32 says that another group follows, and bit 16 of the last
group is the sign. From the fourth run on, the difference to the run two places earlier is written. pycocotools reads
past the end of a string that stops inside a run, and never comes back from some whose runs do not fill the frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CHUNK_CHARACTERS = 1 << 18
"""Arrays of one chunk stay in the processor's cache."""

MAX_GROUPS_PER_RUN = 7
"""Of a number below 0, pycocotools reads six: it shifts the sign of a seventh out of its 32 bits."""
LONGEST_RUN = (1 << 31) - 1
PADDING = "00"
"""Two empty runs, put behind every code: there the running sums return to 0."""

UNREAD = np.int16(-(1 << 15))
"""Marks a run of more than two groups, whose number is none that two groups can state."""

ALIEN = "its counts hold a character outside '0' to 'o'"

Integers = NDArray[np.int64]
Runs = NDArray[np.int32]
Flags = NDArray[np.bool_]

RUN, PAIR = np.dtype("<i4"), np.dtype("<i8")
"""Two runs side by side are one number: the first is its low half, so one addition adds both."""
LOW_SIGN, LOW = 1 << 31, (1 << 32) - 1


class BadCodeError(Exception):
    """The code with this index is no mask, and why."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index = index


def _chunks(lengths: Integers) -> Iterator[tuple[int, int]]:
    start, ends = 0, np.cumsum(lengths)
    while start < len(lengths):
        done = int(ends[start - 1]) if start else 0
        stop = int(np.searchsorted(ends, done + CHUNK_CHARACTERS, side="right"))
        stop = min(max(stop, start + 1), start + (1 << 14))
        yield start, stop
        start = stop


def _written(characters: NDArray[np.uint8], followed: Flags) -> tuple[Runs, int | None]:
    """Return the number written for each run, in order, and the place of a run that is too long or None.

    ``followed`` says of each of the characters whether another one of the same run follows; of the last, none does.
    A 0 follows an odd number of runs.
    """
    last = ~followed
    signed = (characters & 31).view(np.int8) - np.int8(16)
    # Most runs have one group or two, which is done for all characters at once; the others come one group at a time.
    values = signed.astype(np.int16)
    values[1:] *= followed.astype(np.int16)[:-1] * np.int16(31) + np.int16(1)
    values[1:] += (signed & np.int8(31) & -followed.view(np.int8)).astype(np.int16)[:-1]
    longer = np.zeros_like(followed)
    np.logical_and(followed[1:-1], followed[:-2], out=longer[2:])
    longer &= last
    place = np.flatnonzero(longer)
    values[place] = UNREAD
    one_each = values.compress(last)
    run = np.flatnonzero(one_each == UNREAD)
    written = np.zeros(len(one_each) + len(one_each) % 2, RUN)
    written[: len(one_each)] = one_each
    number = signed[place].astype(np.int64)
    for back in range(1, MAX_GROUPS_PER_RUN + 1):
        if not len(place):
            return written, None
        number = (number << 5) + (signed[place - back] & 31)
        too_long = (np.abs(number) > LONGEST_RUN) | (back + (number < 0) >= MAX_GROUPS_PER_RUN)
        if too_long.any():
            break
        written[run] = number
        more = np.flatnonzero(followed[place - back - 1])
        number, place, run = number[more], place[more], run[more]
    return written, int(place[np.argmax(too_long)])


def _undo_differences(runs: Runs, begin: Integers, stop: Integers) -> None:
    """Turn the number written for each run into the run's length, in place; in the first bad code, one is below 0.

    A code has the runs from ``begin`` to ``stop``, the last two of which are its padding, written as 0.
    """
    # A run is the sum of every second number written up to it, but the third one does not add the first.
    with_third = begin[stop - begin > 2 + len(PADDING)]
    runs[with_third + 2] -= runs[with_third]
    pairs = runs.view(PAIR)
    # A low half below 0 has to borrow from the high half.
    pairs ^= LOW_SIGN
    pairs -= LOW_SIGN
    # A pair that two codes share holds nothing of the former but padding.
    rest = np.add.reduceat(pairs, begin // 2)
    low = rest.astype(np.int32)
    padding = stop - len(PADDING)
    pairs[(padding + padding % 2) // 2] -= low
    pairs[padding // 2] -= rest - low
    np.cumsum(pairs, out=pairs)


def _check_chunk(codes: Sequence[str], lengths: Integers, areas: Integers) -> tuple[Integers, bool]:
    """Return what `check_codes` does, for so many codes that their arrays stay in the processor's cache."""

    def code_at(ends: Integers, place: int) -> int:
        return int(np.searchsorted(ends, place, side="right"))

    if not lengths.all():
        raise BadCodeError(int(np.argmin(lengths)), "its counts are empty")
    joined = PADDING.join([*codes, ""])
    if not joined.isascii():
        raise BadCodeError(next(index for index, code in enumerate(codes) if not code.isascii()), ALIEN)
    characters, ends = np.frombuffer(joined.encode("ascii"), np.uint8), np.cumsum(lengths + len(PADDING))
    if characters.min() < 48 or characters.max() > 111:
        raise BadCodeError(code_at(ends, int(np.argmax((characters < 48) | (characters > 111)))), ALIEN)
    followed = characters > 79
    unfinished = followed[ends - len(PADDING) - 1]
    if unfinished.any():
        raise BadCodeError(int(np.argmax(unfinished)), "its counts end inside a run")
    runs, too_long = _written(characters, followed)
    if too_long is not None:
        raise BadCodeError(code_at(ends, too_long), "its counts hold a run that is too long")
    narrow = np.int16 if int(lengths.max()) < 1 << 15 else np.int32
    groups_before_last = np.add.reduceat(followed.astype(narrow), np.append(0, ends[:-1]), dtype=narrow)
    stop = ends - np.cumsum(groups_before_last, dtype=np.int64)
    begin = np.append(0, stop[:-1])
    _undo_differences(runs, begin, stop)
    if runs.min() < 0:
        raise BadCodeError(code_at(stop, int(np.argmax(runs < 0))), "its counts hold a run below 0 or beyond any frame")
    sums = np.add.reduceat(runs.view(PAIR), begin // 2)
    even, odd = sums & LOW, sums >> 32
    total = even + odd
    if int(runs.max()) * int((stop - begin).max()) > LONGEST_RUN:
        total = np.add.reduceat(runs, begin, dtype=np.int64)
    wrong = total != areas
    if wrong.any():
        raise BadCodeError(int(np.argmax(wrong)), "its counts do not add up to height x width")
    empty = int(stop[-1]) - np.count_nonzero(runs) - np.count_nonzero(runs[begin] == 0)
    return np.where(begin % 2, even, odd), bool(empty > len(PADDING) * len(codes))


def check_codes(codes: Sequence[str], areas: Integers) -> tuple[Integers, bool]:
    """Check that every code is well formed and fills its frame.

    Args:
        codes: compressed counts, one string per mask.
        areas: height x width of each mask's frame, below 2**31, shape (len(codes),).

    Returns:
        The pixels that each mask covers, shape (len(codes),), and whether any run after a code's first is empty, which
        no encoder writes.

    Raises:
        BadCodeError: naming the first bad code.
    """
    lengths = np.fromiter(map(len, codes), np.int64, len(codes))
    covered, has_empty_runs = np.zeros(len(codes), np.int64), False
    for start, stop in _chunks(lengths):
        try:
            covered[start:stop], empty = _check_chunk(codes[start:stop], lengths[start:stop], areas[start:stop])
        except BadCodeError as error:
            raise BadCodeError(start + error.index, str(error)) from None
        has_empty_runs |= empty
    return covered, has_empty_runs

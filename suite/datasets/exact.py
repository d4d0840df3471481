"""Arithmetic that gives the same integers on every machine, for data that must be the same to the byte.

Floating-point sines, NumPy's random distributions and its vectorised maths may differ in the last digit between
processors and versions. What the embedded dataset needs of them is done here in integers, sines rounded to them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

TURN = 1024
"""Angles are integers in 1/1024 of a full turn."""

ONE = 4096
"""Sines, cosines and ratios are integers in 1/4096."""

_WORD = (1 << 64) - 1
# A sine is never so close to the middle of two of these integers that its last digit could decide.
_QUARTER = tuple(round(math.sin(math.tau * angle / TURN) * ONE) for angle in range(TURN // 4 + 1))


def sine(angle: int) -> int:
    """Return the sine of an angle.

    Args:
        angle: any integer, in 1/1024 of a turn.

    Returns:
        The sine in 1/4096, an integer in [-4096, 4096].
    """
    angle %= TURN
    half, angle = divmod(angle, TURN // 2)
    value = _QUARTER[angle if angle <= TURN // 4 else TURN // 2 - angle]
    return -value if half else value


def cosine(angle: int) -> int:
    """Return the cosine of an angle, as `sine` does."""
    return sine(angle + TURN // 4)


def rgb(hue_degrees: int, saturation_percent: int, value_percent: int) -> tuple[int, int, int]:
    """Return the colour of a hue (any integer, degrees), saturation and value (0..100) as RGB integers in 0..255."""
    sector, within = divmod(hue_degrees % 360, 60)
    high = value_percent * 255 // 100
    low = value_percent * (100 - saturation_percent) * 255 // 10000
    rising = low + (high - low) * within // 60
    falling = high - (high - low) * within // 60
    return (
        (high, rising, low),
        (falling, high, low),
        (low, high, rising),
        (low, falling, high),
        (rising, low, high),
        (high, low, falling),
    )[sector]


class Draws:
    """Reproducible random integers (SplitMix64: Steele, Lea, Flood 2014), seeded by a path of names and numbers.

    Args:
        key: what the numbers are for, e.g. ``("shapes", 0, "val", 12)``; different keys give unrelated sequences.
    """

    def __init__(self, *key: int | str) -> None:
        text = "/".join(str(part) for part in key)
        self._state = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")

    def word(self) -> int:
        """Return the next integer, uniform in [0, 2**64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _WORD
        word = self._state
        word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
        return word ^ (word >> 31)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in [low, high], both ends included."""
        return low + self.word() % (high - low + 1)

    def chance(self, percent: int) -> bool:
        """Return True in ``percent`` of 100 cases."""
        return self.integer(0, 99) < percent

    def choice(self, items: Sequence[Item]) -> Item:
        """Return one of ``items``, each as likely as the others."""
        return items[self.integer(0, len(items) - 1)]

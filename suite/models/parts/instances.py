"""Which instances get a mask when the choice must not depend on the data."""

from __future__ import annotations

from suite.models.networks import MASKS


def middle(places: int) -> slice:
    """Return `MASKS` consecutive places in the middle of ``places``; all of them if there are fewer.

    Consecutive, so that every runtime can cut them out; which ones does not change the time that their masks take.
    """
    start = max(places - MASKS, 0) // 2
    return slice(start, start + min(MASKS, places))

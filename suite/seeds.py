"""Random seeds that depend on a base seed and a component's name only."""

from __future__ import annotations

import hashlib


def derive_seed(base_seed: int, component: str) -> int:
    """Return the seed of one component of a run.

    Adding or reordering components never shifts another component's numbers, because no state is shared.

    Args:
        base_seed: the run's seed, any integer.
        component: the component's name, e.g. ``"training/augmentation"``.

    Returns:
        An integer in ``[0, 2**31)``.
    """
    digest = hashlib.sha256(f"{base_seed}/{component}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1

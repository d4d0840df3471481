"""How many cores there are to compute on."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return how many cores this process may run on; where a system does not say, how many the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

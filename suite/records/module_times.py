"""Layer times summed by module, for the terminal and for the report alike; needs no engine and no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

DEPTH = 2
"""Parts of a module's path that a row shows: ``mask_decoder.first3``."""


@dataclass
class ModuleTime:
    """A module by its path, cut to `DEPTH` parts, with time and number of its layers.

    ``macs`` are computed directly, without those of modules that have a row of their own.
    """

    module: str
    time_ms: float = 0.0
    macs: int = 0
    nodes: int = 0

    @property
    def gmacs_per_s(self) -> float:
        """Direct MACs over time."""
        return self.macs / self.time_ms / 1e6 if self.time_ms else 0.0


def by_module(layers: Iterable[tuple[str, float]], macs: Mapping[str, int]) -> list[ModuleTime]:
    """Sum layers by module, in order of first appearance.

    Args:
        layers: (module, ms) of every layer.
        macs: MACs by module, submodules included (`suite.export.counts.count_modules`).
    """
    rows: dict[str, ModuleTime] = {}
    for module, time_ms in layers:
        path = ".".join(module.split(".")[:DEPTH])
        row = rows.setdefault(path, ModuleTime(path))
        row.time_ms += time_ms
        row.nodes += 1
    for path, row in rows.items():
        inner = [other for other in rows if other.startswith(f"{path}.")]
        row.macs = _subtotal(path, macs) - sum(_subtotal(other, macs) for other in inner)
    return list(rows.values())


def _subtotal(path: str, macs: Mapping[str, int]) -> int:
    """Return a path's MACs; a list of modules computes nothing itself and so is the sum of what is directly below."""
    if path in macs:
        return macs[path]
    below = [other for other in macs if other.startswith(f"{path}.")]
    return sum(macs[one] for one in below if not any(one.startswith(f"{other}.") for other in below))

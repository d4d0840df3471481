"""Readable names of measured cells, so that a person can ask for one and a page can link to it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

from suite.report.select import Cell


def _readable(cell: Cell) -> str:
    data = cell.dataset
    parts = [cell.metric, cell.model, f"{data.name}-{data.split}" if data else ""]
    height, width = cell.get("height_px"), cell.get("width_px")
    if data is None and height is not None:
        parts.append(f"{height}x{width}")
    keys = ("span", "runtime", "error", "category", "size")
    parts += [str(cell.get(key)) for key in keys if cell.get(key) is not None]
    if cell.get("key_frame_interval") is not None:
        parts.append(f"T{cell.get('key_frame_interval')}")
    if cell.get("query_passing") is False:
        parts.append("no-query-passing")
    if cell.get("association") is False:
        parts.append("no-association")
    return "/".join(part for part in parts if part)


def _digest(cell: Cell) -> str:
    data = cell.dataset
    identity = (cell.protocol, data.digest if data else "", cell.origin, cell.machine.cpu)
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:6]


def cell_ids(cells: Sequence[Cell]) -> dict[str, Cell]:
    """Return id -> cell, e.g. ``"video_ap/mobileinst_topformer_tiny_shapes/shapes-val/T3"``.

    Cells that differ only in details (number of iterations, data digest, machine) get six hexadecimal digits appended.
    """
    names = [_readable(cell) for cell in cells]
    counts = Counter(names)
    return {
        name if counts[name] == 1 else f"{name}#{_digest(cell)}": cell for name, cell in zip(names, cells, strict=True)
    }

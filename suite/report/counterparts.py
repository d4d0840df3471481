"""Which model of the suite stands for which published row."""

from __future__ import annotations

from collections.abc import Mapping


def find_counterparts() -> Mapping[str, tuple[str, ...]]:
    """Return published row id -> model names, from what each module of ``suite/models`` says of itself."""
    from suite.models import discover

    rows: dict[str, tuple[str, ...]] = {}
    for name, entry in sorted(discover().items()):
        for row_id in entry.published_rows:
            rows[row_id] = (*rows.get(row_id, ()), name)
    return rows

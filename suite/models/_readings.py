"""MACs of every reading of every published phone latency, counted from the graphs, as the CSV file the report reads.

``suite/claims/latency_readings.csv`` is written by ``python -m suite latency count-readings``, never by hand.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from suite.claims.claim import SNAPDRAGON
from suite.claims.latency_bound import ReadingRow
from suite.claims.loader import CLAIMS_FOLDER, load_claims
from suite.export.counts import split_macs
from suite.files import write_text
from suite.models import discover
from suite.progress import track

CERTAIN_METHODS = ("YOLACT", "CrossVIS")
"""Methods whose input shape is certain: warped to a square of 550 px, and 360x640 padded to 384x640."""


def count_readings(name: str) -> list[dict[str, str]]:
    """Count one model at each of its input shapes, for prior art with the masks of 100 instances.

    The model stands for a published row or reads one differently.
    """
    entries = discover()
    entry = entries[name]
    row_id = (entry.published_rows or entries[entry.alternative_to].published_rows)[0]
    model, lines = entry.build(0), []
    for size in entry.input_shapes:
        default = bool(entry.published_rows) and size == entry.input_shapes[0]
        counts = split_macs(model, *size, "with_masks" if entry.masks_apart else "forward")
        gmacs = (f"{macs / 1e9:.3f}" for macs in counts)
        certain = default and entry.method in CERTAIN_METHODS
        words = (row_id, name, *map(str, size), *gmacs, *("yes" if it else "no" for it in (default, certain)))
        lines.append(dict(zip(ReadingRow.__struct_fields__, words, strict=True)))
    return lines


def write_readings(folder: Path = CLAIMS_FOLDER) -> None:
    """Count every model of a published phone latency and write the file, each row's default reading first."""
    timed = {claim.row_id for claim in load_claims() if claim.metric == SNAPDRAGON}
    entries = discover().items()
    names = [name for name, entry in entries if entry.alternative_to or timed.intersection(entry.published_rows)]
    lines: list[dict[str, str]] = []
    with track("readings of published latencies", len(names)) as step:
        for name in names:
            lines += count_readings(name)
            step()
    lines.sort(key=lambda line: (line["row_id"], line["default_reading"] == "no"))
    write_text(folder / "latency_readings.csv", pd.DataFrame(lines).to_csv(index=False, lineterminator="\n"))

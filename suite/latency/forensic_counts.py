"""MACs of every reading of every published latency row, counted from the graphs, as the CSV files the report reads.

``suite/claims/latency_readings.csv`` holds prior art, ``mobileinst_readings.csv`` reconstructions of MobileInst itself;
both are written by ``python -m suite latency count-readings`` and never by hand.
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suite.claims.loader import CLAIMS_FOLDER
from suite.files import write_bytes
from suite.models import discover
from suite.progress import track

CERTAIN_METHODS = ("YOLACT", "CrossVIS")
"""Methods whose input shape is certain: warped to a square of 550 px, and 360x640 padded to 384x640."""
OWN_SHAPES: dict[str, tuple[str, tuple[tuple[int, int], ...]]] = {
    "table1/mobileinst-topformer-base-640": ("topformer", ((640, 864), (640, 640))),
    "table1/mobileinst-topformer-base-512": ("topformer", ((512, 864), (512, 512))),
    "table1/mobileinst-mobilenetv2-640": ("mobilenetv2", ((640, 864), (640, 640))),
    "table1/mobileinst-seaformer-640": ("seaformer", ((640, 864), (640, 640))),
    "table2/2019/mobileinst-topformer-base": ("topformer", ((384, 640), (384, 384))),
}
"""Published row of MobileInst -> backbone family and the shapes that two rules give: one fixed long side as in the
other rows (864, video 640), and a square."""
BACKBONE_SIZES = {"topformer": ("tiny", "small", "base"), "seaformer": ("tiny", "small", "base", "large")}
WIDTHS = (256, 128)


@dataclass(frozen=True)
class OwnReading:
    """One reconstruction of MobileInst for one published row."""

    row_id: str
    backbone: str
    width: int
    pyramid: str
    height_px: int
    width_px: int


def own_readings() -> Iterator[OwnReading]:
    """Yield every reconstruction that is counted; only TopFormer has a semantic injection of its own."""
    for row_id, (family, shapes) in OWN_SHAPES.items():
        sizes = BACKBONE_SIZES.get(family)
        for backbone in [f"{family}_{size}" for size in sizes] if sizes else [family]:
            for width in WIDTHS:
                for pyramid in ("raw", "injected") if family == "topformer" else ("raw",):
                    for height_px, width_px in shapes:
                        yield OwnReading(row_id, backbone, width, pyramid, height_px, width_px)


def count_own(reading: OwnReading) -> tuple[int, int]:
    """Return the MACs of dense 3x3 convolutions and of the rest of one reconstruction."""
    import torch

    from reference_model.config import ModelConfig
    from reference_model.mobileinst import MobileInst
    from suite.export.counts import split_macs

    options: dict[str, Any] = {"hidden_dim": reading.width, "pyramid": reading.pyramid}
    if reading.row_id.startswith("table2/"):
        options["num_classes"] = 40
    with torch.device("meta"):
        model = MobileInst(ModelConfig("reading", reading.backbone, **options))
    return split_macs(model, reading.height_px, reading.width_px)


def prior_art_lines() -> list[dict[str, object]]:
    """Count every model of prior art, masks of 100 instances in, at every shape: a row's default reading first."""
    from suite.export.counts import split_macs

    entries = {name: entry for name, entry in discover().items() if entry.reading}
    lines: list[dict[str, object]] = []
    with track("readings of prior art", len(entries)) as step:
        for name, entry in entries.items():
            row_id = (entry.published_rows or entries[entry.alternative_to].published_rows)[0]
            model = entry.build(0)
            for height_px, width_px in entry.input_shapes:
                default = bool(entry.published_rows) and (height_px, width_px) == entry.input_shapes[0]
                counts = split_macs(model, height_px, width_px, "with_masks" if entry.masks_apart else "forward")
                lines.append(
                    {
                        "row_id": row_id,
                        "model": name,
                        "height_px": height_px,
                        "width_px": width_px,
                        **_gmacs(*counts),
                        "default_reading": "yes" if default else "no",
                        "shape_certain": "yes" if entry.method in CERTAIN_METHODS and default else "no",
                    }
                )
            step()
    return sorted(lines, key=lambda line: (line["row_id"], line["default_reading"] == "no"))


def own_lines() -> Iterator[dict[str, object]]:
    """Count every reconstruction of MobileInst."""
    readings = list(own_readings())
    with track("readings of MobileInst", len(readings)) as step:
        for one in readings:
            yield {**dataclasses.asdict(one), **_gmacs(*count_own(one))}
            step()


def _gmacs(dense: int, other: int) -> dict[str, object]:
    return {"gmacs_dense3x3": f"{dense / 1e9:.3f}", "gmacs_other": f"{other / 1e9:.3f}"}


def write_readings(folder: Path = CLAIMS_FOLDER) -> None:
    """Count everything and write both files into a folder."""
    for name, lines in (("mobileinst_readings.csv", list(own_lines())), ("latency_readings.csv", prior_art_lines())):
        stream = io.StringIO()
        writer = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        write_bytes(folder / name, stream.getvalue().encode())

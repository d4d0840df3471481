"""What a claim is: one published number with everything needed to compare it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["absolute", "ratio", "trend"]
ClaimOrigin = Literal["published", "third-party"]
SNAPDRAGON = "latency_snapdragon_778g_ms"
LATENCY_METRICS = {
    SNAPDRAGON: "snapdragon-778g",
    "latency_rtx_2080_ti_ms": "rtx-2080-ti",
}
"""Published latency columns and the device each one names."""

METRIC_LABELS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP_S",
    "ap_medium": "AP_M",
    "ap_large": "AP_L",
    "ar1": "AR1",
    SNAPDRAGON: "ms on a Snapdragon 778G",
    "latency_rtx_2080_ti_ms": "ms on an RTX 2080 Ti",
}
"""Columns of the published tables as a reader knows them."""
RECORD_METRICS = {
    "coco": {
        "ap": "mask_ap",
        "ap50": "mask_ap50",
        "ap75": "mask_ap75",
        "ap_small": "mask_ap_small",
        "ap_medium": "mask_ap_medium",
        "ap_large": "mask_ap_large",
    },
    "youtube-vis": {"ap": "video_ap", "ap50": "video_ap50", "ap75": "video_ap75", "ar1": "video_ar1"},
}
"""Published accuracy columns (AP points, 0 to 100) and the records' metric (a fraction) that measures it."""


@dataclass(frozen=True)
class Claim:
    """One published number.

    Attributes:
        claim_id: stable and readable, e.g. ``"table1/mobileinst-topformer-base-640/ap"``.
        row_id: the claim's table row, i.e. its id without the metric.
        method: as printed, e.g. ``"SparseInst"``; so is ``backbone``, which is empty where none is meant.
        short_side_px: the printed input size; None where none is printed.
        metric: column of the published table, e.g. ``"ap50"``, ``"latency_snapdragon_778g_ms"``.
        value: the number in ``unit``; the lower end where the source gives a range.
        value_high: upper end of a published range, None for a single number.
        text: the digits as printed, so that tables repeat ``34.0`` and not ``34``.
        unit: ``"AP points"`` (0 to 100), ``"ms"`` or ``"ratio"``.
        dataset: e.g. ``"coco test-dev"``, ``"youtube-vis-2019 valid"``; empty where none is meant.
        device: ``"snapdragon-778g"``, ``"rtx-2080-ti"`` or None.
        protocol: what the number covers, in words; ``source`` is publication and version: ``"aaai2024-table1"``.
        kind: a printed number, a ratio of two printed numbers, or a trend ("A is better than B by ...").
        own: whether the number is about MobileInst itself.
        reimplemented: whether the paper's authors re-implemented the method (prior art only).
        origin: ``"published"`` (the paper) or ``"third-party"`` (somebody else's reproduction of it).
        statement: the claim as a sentence (ratios and trends), else empty.
        operands: claim ids of numerator and denominator (ratios only).
        doubts: what a reader must know before comparing this number, one line each.
        footnotes: those of the doubts that concern few numbers, to be printed below a table.
        upstream: the number as the method's own authors print it, where the paper quotes them: equal, differs by, other
            split; empty where no source is known.
        disputed: whether the number cannot be right as printed, so that it must not count as the best of a column.
    """

    claim_id: str
    row_id: str
    method: str = "MobileInst"
    backbone: str = ""
    short_side_px: int | None = None
    metric: str = ""
    value: float = 0.0
    value_high: float | None = None
    text: str = ""
    unit: str = ""
    dataset: str = ""
    device: str | None = None
    protocol: str = ""
    source: str = ""
    kind: Kind = "absolute"
    own: bool = True
    reimplemented: bool = False
    origin: ClaimOrigin = "published"
    statement: str = ""
    operands: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    footnotes: tuple[str, ...] = ()
    upstream: str = ""
    disputed: bool = False

    @property
    def family(self) -> str:
        """``"coco"``, ``"youtube-vis"`` or ``""``: the dataset without year and split."""
        return next((name for name in RECORD_METRICS if self.dataset.startswith(name)), "")

    @property
    def label(self) -> str:
        """What the claim is about, e.g. ``"MobileInst TopFormer-Base 640, AP50 on coco test-dev"``."""
        if self.kind != "absolute":
            return self.statement
        size = f" {self.short_side_px}" if self.short_side_px else ""
        backbone = "" if self.backbone == "unstated" else f" {self.backbone}"
        where = "" if self.device else f" on {self.dataset}"
        version = " (arXiv v1 abstract)" if self.row_id.startswith("arxiv") else ""
        return f"{self.method}{backbone}{size}, {METRIC_LABELS[self.metric]}{where}{version}"

    @property
    def printed(self) -> str:
        """The printed number with its unit: ``"31.2 AP"``, ``"0.466"``."""
        return self.text if self.unit == "ratio" else f"{self.text} {self.unit.replace('AP points', 'AP')}"

    def repeats(self, other: Claim) -> bool:
        """Tell whether this is a third party's reproduction of that number of the paper on COCO."""
        same = (self.backbone, self.short_side_px, self.metric) == (other.backbone, other.short_side_px, other.metric)
        own = other.own and other.family == "coco" and other.origin == "published"
        return self.origin == "third-party" and own and same

    @property
    def record_metric(self) -> str | None:
        """The records' metric that measures this claim (accuracy only), or None."""
        return RECORD_METRICS.get(self.family, {}).get(self.metric)


def slug(*words: str | int) -> str:
    """Join words by hyphens, lower-case letters and digits only: ``("Mask R-CNN", "800")`` -> ``"mask-r-cnn-800"``."""
    return "-".join(part for word in words for part in re.findall(r"[a-z0-9]+", str(word).lower()))

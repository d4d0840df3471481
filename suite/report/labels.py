"""Short names of claims, metrics and origins, as every output prints them."""

from __future__ import annotations

from suite.claims.claim import Claim

METRIC_LABELS = {
    "ap": "AP",
    "ap50": "AP50",
    "ap75": "AP75",
    "ap_small": "AP_S",
    "ap_medium": "AP_M",
    "ap_large": "AP_L",
    "ar1": "AR1",
    "latency_snapdragon_778g_ms": "ms on a Snapdragon 778G",
    "latency_rtx_2080_ti_ms": "ms on an RTX 2080 Ti",
}
ORIGIN_MARKS = {"published": "", "measured": "", "estimated": "e", "server": "s", "third-party": "t"}
ORIGIN_LEGEND = {
    "estimated": "e = estimated, not measured",
    "server": "s = scored by the evaluation server",
    "third-party": "t = measured by a third party",
}


def claim_label(claim: Claim) -> str:
    """Return what a claim is about, e.g. ``"MobileInst TopFormer-Base 640, AP50 on coco test-dev"``."""
    if claim.kind != "absolute":
        return claim.statement
    size = f" {claim.short_side_px}" if claim.short_side_px else ""
    backbone = "" if claim.backbone == "unstated" else f" {claim.backbone}"
    where = "" if claim.device else f" on {claim.dataset}"
    version = " (arXiv v1 abstract)" if claim.row_id.startswith("arxiv") else ""
    return f"{claim.method}{backbone}{size}, {METRIC_LABELS[claim.metric]}{where}{version}"


def published_text(claim: Claim) -> str:
    """Return the printed number with its unit: ``"31.2 AP points"``, ``"0.466"``."""
    return claim.text if claim.unit == "ratio" else f"{claim.text} {claim.unit.replace('AP points', 'AP')}"

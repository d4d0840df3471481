"""Read the published tables: one CSV cell, one `Claim`.

The CSV files beside this module are the only place where published numbers are written down. ``coco_test_dev.csv`` is
the paper's Table 1 (and the COCO numbers of arXiv v1's abstract), ``youtube_vis.csv`` its Table 2,
``third_party_reproductions.csv`` other people's attempts, ``ratios.csv`` and ``trends.csv`` what the text says about
them, ``doubts.csv`` what a reader must know, ``later.csv`` what came after the paper. A ratio's value is
computed from its two operands, never typed.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from suite.claims.claim import LATENCY_METRICS, Claim, slug
from suite.claims.csv_rows import Digits, Points, read_rows
from suite.errors import InputError

CLAIMS_FOLDER = Path(__file__).resolve().parent
LATENCY_PROTOCOLS = {
    "snapdragon-778g": "one CPU core, TNN, no other acceleration; core, input shape and precision not published",
    "rtx-2080-ti": "one GPU; precision not published",
}
HALF_DIGIT = 0.05
"""AP points nearer than this are the same as printed."""
METRICS = (
    *("latency_rtx_2080_ti_ms", "latency_snapdragon_778g_ms"),
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1"),
)
"""Columns that hold published numbers, in the order of their claims."""


class PrintedRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line of a table: the paper's Table 1 or 2, or somebody else's reproduction of them."""

    backbone: str
    method: str = "MobileInst"
    short_side_px: int | None = None
    latency_rtx_2080_ti_ms: Digits | None = None
    latency_snapdragon_778g_ms: Digits | None = None
    dataset: Literal["youtube-vis-2019", "youtube-vis-2021"] | None = None
    dataset_split: str = ""
    ap: Points | None = None
    ap50: Points | None = None
    ap75: Points | None = None
    ap_small: Points | None = None
    ap_medium: Points | None = None
    ap_large: Points | None = None
    ar1: Points | None = None
    reimplemented_by_authors: Literal["yes", "no", "own"] = "own"
    source: str = ""
    reproduction: str = ""
    note: str = ""


class RatioRow(msgspec.Struct, forbid_unknown_fields=True):
    """A ratio of two claims that the text states."""

    claim_id: str
    numerator: str
    denominator: str
    statement: str
    source: str


class TrendRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A difference that the text states, as a number or a range."""

    claim_id: str
    metric: str
    low: Digits
    high: Digits | None = None
    unit: str
    dataset: str
    statement: str
    source: str


class UpstreamRow(msgspec.Struct, forbid_unknown_fields=True):
    """A number as a method's own authors print it."""

    method: str
    backbone: str
    short_side_px: int
    dataset_split: str
    metric: str
    value: Points
    paper_row: str
    source: str


class DoubtRow(msgspec.Struct, forbid_unknown_fields=True):
    """What a reader must know of the claims that match a pattern."""

    claim_pattern: str
    use: Literal["general", "footnote", "disputed"]
    doubt: str


class LaterRow(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A segmenter that came after the paper, as its authors describe it.

    ``model`` is its name in our records, given to ``latency host --onnx FILE:NAME``, ``size_px`` the side of the square
    input that the mask AP in points is published for, ``parameters_m`` in millions, ``gflops`` in thousand millions of
    operations, two per multiply-accumulate.
    """

    model: str
    method: str
    size_px: int
    ap: Points
    dataset_split: str
    parameters_m: Digits | None = None
    gflops: Digits | None = None
    source: str


def _cells(row: PrintedRow, row_id: str, dataset: str, protocol: str, third_party: bool = False) -> Iterator[Claim]:
    """Yield one claim per filled number of a line."""
    for metric in METRICS:
        text = getattr(row, metric)
        if text is None:
            continue
        device = LATENCY_METRICS.get(metric)
        yield Claim(
            f"{row_id}/{metric}",
            row_id,
            method=row.method,
            backbone=row.backbone,
            short_side_px=row.short_side_px,
            metric=metric,
            value=float(text),
            text=text,
            unit="ms" if device else "AP points",
            dataset=dataset,
            device=device,
            protocol=LATENCY_PROTOCOLS[device] if device else protocol,
            source=row.reproduction if third_party else row.source,
            own=row.reimplemented_by_authors == "own",
            reimplemented=row.reimplemented_by_authors == "yes",
            origin="third-party" if third_party else "published",
        )


def _tables(folder: Path) -> Iterator[Claim]:
    for _, row in read_rows(folder / "coco_test_dev.csv", PrintedRow):
        row_id = f"table1/{slug(row.method, row.backbone, row.short_side_px or '')}"
        if row.source.endswith("-abstract"):
            row_id = f"arxiv-v1-abstract/{slug(row.method)}"
        yield from _cells(row, row_id, "coco test-dev", "COCO mask AP, scored by the evaluation server")
    for _, row in read_rows(folder / "youtube_vis.csv", PrintedRow):
        year = str(row.dataset).removeprefix("youtube-vis-")
        row_id = f"table2/{year}/{slug(row.method, row.backbone)}"
        yield from _cells(row, row_id, f"{row.dataset} valid", "YouTube-VIS track AP, scored by the evaluation server")
    for _, row in read_rows(folder / "third_party_reproductions.csv", PrintedRow):
        row_id = f"third-party/{slug(row.reproduction.split('/')[0])}/{slug(row.backbone, row.short_side_px or '')}"
        yield from _cells(row, row_id, row.dataset_split, row.note, third_party=True)


def _ratios(folder: Path, known: dict[str, Claim]) -> Iterator[Claim]:
    for place, row in read_rows(folder / "ratios.csv", RatioRow):
        operands = (row.numerator, row.denominator)
        for operand in operands:
            if operand not in known:
                raise InputError(f"{place}: {operand!r} is not a claim; use the id of a filled cell")
        numerator, denominator = (known[operand] for operand in operands)
        if denominator.value == 0 or numerator.unit != denominator.unit:
            raise InputError(f"{place}: these numbers cannot be divided; use two of one unit, the second not zero")
        value = numerator.value / denominator.value
        yield dataclasses.replace(
            numerator,
            claim_id=row.claim_id,
            row_id=row.claim_id,
            value=value,
            text=f"{value:.3f}",
            unit="ratio",
            protocol=f"computed from two printed numbers: {numerator.text} / {denominator.text} {numerator.unit}",
            source=row.source,
            kind="ratio",
            statement=row.statement,
            operands=operands,
        )


def _trends(folder: Path) -> Iterator[Claim]:
    for place, row in read_rows(folder / "trends.csv", TrendRow):
        low, high = float(row.low), float(row.high) if row.high else None
        if high is not None and high < low:
            raise InputError(f"{place}: high is below low; give the printed range")
        yield Claim(
            row.claim_id,
            row.claim_id,
            metric=row.metric,
            value=low,
            value_high=high,
            text=row.low if high is None else f"{row.low} to {row.high}",
            unit=row.unit,
            dataset=row.dataset,
            protocol="difference between two models of the paper's ablation",
            source=row.source,
            kind="trend",
            statement=row.statement,
        )


def _with_doubts(folder: Path, claims: list[Claim]) -> list[Claim]:
    doubts: dict[str, list[DoubtRow]] = {claim.claim_id: [] for claim in claims}
    for place, row in read_rows(folder / "doubts.csv", DoubtRow):
        concerned = fnmatch.filter(doubts, row.claim_pattern)
        if not concerned:
            raise InputError(f"{place}: no claim matches {row.claim_pattern!r}; correct the pattern")
        for claim_id in concerned:
            doubts[claim_id].append(row)
    return [
        dataclasses.replace(
            claim,
            doubts=tuple(row.doubt for row in rows),
            footnotes=tuple(row.doubt for row in rows if row.use != "general"),
            disputed=any(row.use == "disputed" for row in rows),
        )
        for claim, rows in zip(claims, doubts.values(), strict=True)
    ]


def _with_upstream(folder: Path, claims: list[Claim]) -> list[Claim]:
    """Return the claims with what the methods' own authors print beside each; of two splits the claim's own counts."""
    known = {claim.claim_id: claim for claim in claims}
    for place, row in read_rows(folder / "upstream.csv", UpstreamRow):
        claim = known.get(f"{row.paper_row}/{row.metric}")
        if claim is None:
            raise InputError(f"{place}: no claim {row.paper_row}/{row.metric}; correct paper_row and metric")
        off = claim.value - float(row.value)
        said = "equal" if abs(off) < HALF_DIGIT else f"differs by {off:+.1f}"
        if row.dataset_split != claim.dataset:
            said = f"other split ({row.dataset_split})"
        if row.dataset_split == claim.dataset or not claim.upstream:
            upstream = f"{said}: {row.value} for {row.method}, {row.source}"
            known[claim.claim_id] = dataclasses.replace(claim, upstream=upstream)
    return list(known.values())


def load_claims(folder: Path = CLAIMS_FOLDER) -> list[Claim]:
    """Read every claim: the tables in print order, then third-party numbers, ratios and trends.

    Args:
        folder: where the CSV files are.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and line: unknown columns, a cell that is no number, two claims of one id, a ratio of
            unknown claims, a doubt about nothing.
    """
    claims = list(_tables(folder))
    claims += _ratios(folder, {claim.claim_id: claim for claim in claims})
    claims += _trends(folder)
    seen: set[str] = set()
    for claim in claims:
        if claim.claim_id in seen:
            raise InputError(f"{folder}: two claims are called {claim.claim_id}; rows must differ in method or size")
        seen.add(claim.claim_id)
    return _with_doubts(folder, _with_upstream(folder, claims))


def load_later(folder: Path = CLAIMS_FOLDER) -> list[LaterRow]:
    """Return what came after the paper, in the file's order; raises as `load_claims` does."""
    return [row for _, row in read_rows(folder / "later.csv", LaterRow)]

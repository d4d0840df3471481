"""Read the published tables: one CSV cell, one `Claim`.

The CSV files beside this module are the only place where published numbers are written down. ``coco_test_dev.csv`` is
the paper's Table 1 (and the COCO numbers of arXiv v1's abstract), ``youtube_vis.csv`` its Table 2,
``third_party_reproductions.csv`` other people's attempts, ``ratios.csv`` and ``trends.csv`` what the text says about
them, ``doubts.csv`` what a reader must know. A ratio's value is computed from its two operands, never typed.
"""

from __future__ import annotations

import dataclasses
import fnmatch
from collections.abc import Iterator
from pathlib import Path

from suite.claims.claim import LATENCY_METRICS, Claim, slug
from suite.claims.csv_lines import Line, read_lines
from suite.errors import InputError

CLAIMS_FOLDER = Path(__file__).resolve().parent

SIZE_METRICS = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
COCO_METRICS = ["latency_snapdragon_778g_ms", *SIZE_METRICS]
COCO_COLUMNS = ["method", "backbone", "short_side_px", *COCO_METRICS, "reimplemented_by_authors", "source"]
GPU_METRICS = ["latency_rtx_2080_ti_ms", "latency_snapdragon_778g_ms"]
TRACK_METRICS = ["ap", "ap50", "ap75", "ar1"]
YOUTUBE_VIS_COLUMNS = [
    "method",
    "backbone",
    *GPU_METRICS,
    "dataset",
    *TRACK_METRICS,
    "reimplemented_by_authors",
    "source",
]
THIRD_PARTY_COLUMNS = ["reproduction", "backbone", "short_side_px", "dataset_split", *SIZE_METRICS, "note"]
RATIO_COLUMNS = ["claim_id", "numerator", "denominator", "statement", "source"]
TREND_COLUMNS = ["claim_id", "metric", "low", "high", "unit", "dataset", "statement", "source"]
DOUBT_COLUMNS = ["claim_pattern", "use", "doubt"]
DOUBT_USES = ("general", "footnote", "disputed")
LATENCY_PROTOCOLS = {
    "snapdragon-778g": "one CPU core, TNN, no other acceleration; core, input shape and precision not published",
    "rtx-2080-ti": "one GPU; precision not published",
}


def _author(line: Line) -> tuple[bool, bool]:
    """Return (own, reimplemented) from the column ``reimplemented_by_authors``."""
    word = line.text("reimplemented_by_authors")
    if word not in ("yes", "no", "own"):
        raise line.fail(f"column reimplemented_by_authors holds {word!r}; write yes, no or own")
    return word == "own", word == "yes"


def _cell_claims(line: Line, base: Claim, metrics: list[str]) -> Iterator[Claim]:
    """Yield one claim per filled metric cell of a line; ``base`` carries what the cells share."""
    for metric in metrics:
        value = line.number_of(metric)
        if value is None:
            continue
        device = LATENCY_METRICS.get(metric)
        if device is None and value > 100:
            raise line.fail(f"column {metric} holds {value}; AP points lie between 0 and 100")
        yield dataclasses.replace(
            base,
            claim_id=f"{base.row_id}/{metric}",
            metric=metric,
            value=value,
            text=line.cells[metric],
            unit="ms" if device else "AP points",
            device=device,
            protocol=LATENCY_PROTOCOLS[device] if device else base.protocol,
        )


def _base(line: Line, row_id: str, method: str, dataset: str, protocol: str) -> Claim:
    own, reimplemented = (False, False)
    if "reimplemented_by_authors" in line.cells:
        own, reimplemented = _author(line)
    return Claim(
        claim_id=row_id,
        row_id=row_id,
        method=method,
        backbone=line.text("backbone"),
        short_side_px=line.short_side() if "short_side_px" in line.cells else None,
        metric="",
        value=0.0,
        value_high=None,
        text="",
        unit="",
        dataset=dataset,
        device=None,
        protocol=protocol,
        source=line.cells.get("source", ""),
        kind="absolute",
        own=own,
        reimplemented=reimplemented,
    )


def _coco(folder: Path) -> Iterator[Claim]:
    for line in read_lines(folder / "coco_test_dev.csv", COCO_COLUMNS):
        method, backbone, size = line.text("method"), line.text("backbone"), line.cells["short_side_px"]
        abstract = line.text("source").endswith("-abstract")
        row_id = f"arxiv-v1-abstract/{slug(method)}" if abstract else f"table1/{slug(method, backbone, size)}"
        base = _base(line, row_id, method, "coco test-dev", "COCO mask AP, scored by the evaluation server")
        yield from _cell_claims(line, base, COCO_METRICS)


def _youtube_vis(folder: Path) -> Iterator[Claim]:
    for line in read_lines(folder / "youtube_vis.csv", YOUTUBE_VIS_COLUMNS):
        dataset = line.text("dataset")
        if not dataset.startswith("youtube-vis-"):
            raise line.fail(f"column dataset holds {dataset!r}; write youtube-vis-YEAR")
        method, year = line.text("method"), dataset.removeprefix("youtube-vis-")
        row_id = f"table2/{year}/{slug(method, line.text('backbone'))}"
        base = _base(line, row_id, method, f"{dataset} valid", "YouTube-VIS track AP, scored by the evaluation server")
        yield from _cell_claims(line, base, [*GPU_METRICS, *TRACK_METRICS])


def _third_party(folder: Path) -> Iterator[Claim]:
    for line in read_lines(folder / "third_party_reproductions.csv", THIRD_PARTY_COLUMNS):
        name = line.text("reproduction")
        row_id = f"third-party/{slug(name.split('/')[0])}/{slug(line.text('backbone'), line.cells['short_side_px'])}"
        base = _base(line, row_id, "MobileInst", line.text("dataset_split"), line.text("note"))
        base = dataclasses.replace(base, source=name, origin="third-party", own=True)
        yield from _cell_claims(line, base, SIZE_METRICS)


def _ratios(folder: Path, known: dict[str, Claim]) -> Iterator[Claim]:
    for line in read_lines(folder / "ratios.csv", RATIO_COLUMNS):
        operands = (line.text("numerator"), line.text("denominator"))
        for operand in operands:
            if operand not in known:
                raise line.fail(f"{operand!r} is not a claim; use the id of a filled cell")
        numerator, denominator = (known[operand] for operand in operands)
        if denominator.value == 0 or numerator.unit != denominator.unit:
            raise line.fail("the two numbers cannot be divided; use two cells of one unit, the second not zero")
        value = numerator.value / denominator.value
        yield dataclasses.replace(
            numerator,
            claim_id=line.text("claim_id"),
            row_id=line.text("claim_id"),
            value=value,
            text=f"{value:.3f}",
            unit="ratio",
            protocol=f"computed from two printed numbers: {numerator.text} / {denominator.text} {numerator.unit}",
            source=line.text("source"),
            kind="ratio",
            statement=line.text("statement"),
            operands=operands,
        )


def _trends(folder: Path) -> Iterator[Claim]:
    for line in read_lines(folder / "trends.csv", TREND_COLUMNS):
        low, high = line.number_of("low"), line.number_of("high")
        if low is None or (high is not None and high < low):
            raise line.fail("low must be a number, and not above high; give the printed range")
        yield Claim(
            claim_id=line.text("claim_id"),
            row_id=line.text("claim_id"),
            method="MobileInst",
            backbone="",
            short_side_px=None,
            metric=line.text("metric"),
            value=low,
            value_high=high,
            text=line.cells["low"] if high is None else f"{line.cells['low']} to {line.cells['high']}",
            unit=line.text("unit"),
            dataset=line.text("dataset"),
            device=None,
            protocol="difference between two models of the paper's ablation",
            source=line.text("source"),
            kind="trend",
            own=True,
            statement=line.text("statement"),
        )


def _with_doubts(folder: Path, claims: list[Claim]) -> list[Claim]:
    doubts: dict[str, list[tuple[str, str]]] = {}
    for line in read_lines(folder / "doubts.csv", DOUBT_COLUMNS):
        pattern, use = line.text("claim_pattern"), line.text("use")
        if use not in DOUBT_USES:
            raise line.fail(f"column use holds {use!r}; write one of {', '.join(DOUBT_USES)}")
        concerned = [claim.claim_id for claim in claims if fnmatch.fnmatchcase(claim.claim_id, pattern)]
        if not concerned:
            raise line.fail(f"no claim matches {pattern!r}; correct the pattern")
        for claim_id in concerned:
            doubts.setdefault(claim_id, []).append((use, line.text("doubt")))
    return [
        dataclasses.replace(
            claim,
            doubts=tuple(text for _, text in doubts.get(claim.claim_id, [])),
            footnotes=tuple(text for use, text in doubts.get(claim.claim_id, []) if use != "general"),
            disputed=any(use == "disputed" for use, _ in doubts.get(claim.claim_id, [])),
        )
        for claim in claims
    ]


def load_claims(folder: Path = CLAIMS_FOLDER) -> list[Claim]:
    """Read every claim: the tables in print order, then third-party numbers, ratios and trends.

    Args:
        folder: where the CSV files are.

    Raises:
        DataError: if a file is absent.
        InputError: naming file and line: unknown columns, a cell that is no number, two claims of one id, a ratio of
            unknown claims, a doubt about nothing.
    """
    claims = [*_coco(folder), *_youtube_vis(folder), *_third_party(folder)]
    claims += _ratios(folder, {claim.claim_id: claim for claim in claims})
    claims += _trends(folder)
    seen: set[str] = set()
    for claim in claims:
        if claim.claim_id in seen:
            raise InputError(f"{folder}: two claims are called {claim.claim_id}; rows must differ in method or size")
        seen.add(claim.claim_id)
    return _with_doubts(folder, claims)

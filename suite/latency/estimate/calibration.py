"""From counted cycles to milliseconds with an interval, compared with published times; nothing is fitted.

``counts.csv`` holds, for one inference of a network on one thread, the instructions that an emulated aarch64 program
ran (qemu-user with a plugin that counts translated blocks) and the cycles that LLVM's ``llvm-mca`` models for the
hottest blocks, scaled to all of them. ``published.csv`` holds one-thread milliseconds that others published, with
sources. Milliseconds are cycles over the clock. How far that is off follows from the networks in both files.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np

from suite.claims.csv_rows import Digits, Whole, read_rows
from suite.errors import InputError, NothingMeasuredError
from suite.records.difference import student_quantile
from suite.text_table import TextColumn, text_table
from suite.typed import read_typed

FOLDER = Path(__file__).parent
CORE_FOLDER = FOLDER / "cores"
"""Cores that milliseconds are estimated for, one TOML file each; adding a core is adding a file."""
LEVEL = 0.9
"""Coverage of an estimate's interval, for one network unlike those compared."""


class Core(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One core.

    Attributes:
        title: how tables call it.
        clock_ghz: cycles per nanosecond that milliseconds are estimated at.
        mca_model: the core as llvm-mca models it (its ``-mcpu``); counts of another model are not used.
        boards: boards of ``published.csv`` whose times say how far estimates are off.
        sources: where clock and boards come from.
    """

    title: str
    clock_ghz: Annotated[float, msgspec.Meta(gt=0)]
    mca_model: str
    boards: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    sources: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]


def load_core(name: str) -> Core:
    """Read one core file.

    Raises:
        InputError: if there is no such core; the message lists those there are.
    """
    known = sorted(path.stem for path in CORE_FOLDER.glob("*.toml"))
    if name not in known:
        raise InputError(f"--core {name}: no such core; known cores: {', '.join(known)}")
    return read_typed(CORE_FOLDER / f"{name}.toml", Core, "core file", "compare with the files beside it")


class CountRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of ``counts.csv``: shares are of the instructions, in the counted blocks and in loops among them.

    ``span`` is empty for the networks of the calibration; ``tools`` are the versions that counted.
    """

    network: str
    engine: str
    mca_model: str
    instructions: Whole
    cycles: Whole
    covered_share: Digits
    blocks: Whole
    loop_share: Digits
    precision: str = ""
    span: str = ""
    height_px: Whole = ""
    width_px: Whole = ""
    source_sha256: str = ""
    tools: str = ""


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of ``published.csv``: one thread of a board's core at a clock."""

    network: str
    engine: str
    precision: str
    core: str
    board: str
    clock_ghz: Digits
    latency_ms: Digits
    source: str


@dataclass(frozen=True)
class Errors:
    """How far modelled cycles are off published ones.

    Attributes:
        ratios: published over modelled cycles by network; published ones are the median over the boards.
        spread: largest over smallest published cycles of the boards, by network.
    """

    ratios: dict[str, float]
    spread: dict[str, float]

    def quantile(self, percent: float) -> float:
        """Return a percentile of the relative error of modelled cycles, e.g. 50 for its median."""
        return float(np.percentile([abs(1 / ratio - 1) for ratio in self.ratios.values()], percent))

    def left_out(self, percent: float) -> float:
        """Return a percentile of the error of each network if one factor were fitted on all the others."""
        logs = {name: math.log(ratio) for name, ratio in self.ratios.items()}
        total, count = sum(logs.values()), len(logs)
        return float(
            np.percentile([abs(math.expm1((total - own) / (count - 1) - own)) for own in logs.values()], percent)
        )

    @property
    def half_width(self) -> float:
        """Half the interval of an estimate's logarithm, at `LEVEL`, centred at the estimate since nothing is fitted."""
        squares = [math.log(ratio) ** 2 for ratio in self.ratios.values()]
        return student_quantile(len(squares), LEVEL) * math.sqrt(statistics.fmean(squares))


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of one network on one core, estimated.

    Attributes:
        row: what was counted.
        core: the core.
        latency_ms: cycles over the clock.
        low_ms: lower end of the interval, at `LEVEL`.
        high_ms: upper end.
    """

    row: CountRow
    core: Core
    latency_ms: float
    low_ms: float
    high_ms: float

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values, numbers as numbers."""
        row = self.row
        return {
            "model": row.network,
            "span": row.span or "network",
            "height_px": int(row.height_px) if row.height_px else None,
            "width_px": int(row.width_px) if row.width_px else None,
            "engine": row.engine,
            "precision": row.precision,
            "threads": 1,
            "origin": "estimated",
            "core": self.core.title,
            "clock_ghz": self.core.clock_ghz,
            "mca_model": row.mca_model,
            "instructions": int(row.instructions),
            "cycles": int(row.cycles),
            "source_sha256": row.source_sha256,
            "tools": row.tools,
            "latency_ms": self.latency_ms,
            "interval_ms": [self.low_ms, self.high_ms],
            "interval_level": LEVEL,
        }


def load_counts() -> list[CountRow]:
    """Return the counted networks of ``counts.csv``."""
    return [row for _, row in read_rows(FOLDER / "counts.csv", CountRow)]


def load_published() -> list[PublishedRow]:
    """Return the published times of ``published.csv``."""
    return [row for _, row in read_rows(FOLDER / "published.csv", PublishedRow)]


def compare(core: Core, counts: Sequence[CountRow], published: Sequence[PublishedRow]) -> Errors:
    """Compare modelled with published cycles, over the networks that all of the core's boards have.

    Args:
        core: names the boards.
        counts: modelled cycles.
        published: times; those of another engine or precision than was counted do not compare.

    Raises:
        NothingMeasuredError: if fewer than two networks compare.
    """
    modelled = {
        (row.network, row.engine, row.precision): float(row.cycles) for row in counts if row.mca_model == core.mca_model
    }
    cycles: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in published:
        key = (row.network, row.engine, row.precision)
        if row.board in core.boards and key in modelled:
            cycles[key].append(float(row.latency_ms) * float(row.clock_ghz) * 1e6)
    complete = {key: values for key, values in cycles.items() if len(values) == len(core.boards)}
    if len(complete) < 2:
        raise NothingMeasuredError(f"{core.title}: fewer than two networks have counts and times of all its boards")
    return Errors(
        ratios={key[0]: statistics.median(values) / modelled[key] for key, values in complete.items()},
        spread={key[0]: max(values) / min(values) for key, values in complete.items()},
    )


def estimate(row: CountRow, core: Core, errors: Errors) -> Estimate:
    """Convert a network's cycles to milliseconds of a core.

    Args:
        row: the network's count.
        core: the core.
        errors: of `compare`, for this core.

    Raises:
        NothingMeasuredError: if the cycles were modelled for another core.
    """
    if row.mca_model != core.mca_model:
        raise NothingMeasuredError(
            f"{row.network}: was counted for {row.mca_model}, {core.title} needs {core.mca_model}"
        )
    latency_ms, half = int(row.cycles) / core.clock_ghz / 1e6, errors.half_width
    return Estimate(row, core, latency_ms, latency_ms * math.exp(-half), latency_ms * math.exp(half))


def estimate_table(found: Sequence[Estimate], errors: Errors) -> str:
    """Return estimates as a table, with what is known of their error."""
    core = found[0].core
    titles = ("model", "span", "input", "precision", "M instr.", "M cycles", "ms", f"{LEVEL:.0%} interval")
    rows = [
        (
            item.row.network,
            item.row.span,
            f"{item.row.height_px}x{item.row.width_px}" if item.row.height_px else "",
            item.row.precision,
            f"{int(item.row.instructions) / 1e6:.1f}",
            f"{int(item.row.cycles) / 1e6:.1f}",
            f"{item.latency_ms:.1f}",
            f"[{item.low_ms:.1f}, {item.high_ms:.1f}]",
        )
        for item in found
    ]
    lines = text_table([TextColumn(title, number=place >= 4) for place, title in enumerate(titles)], rows)
    lines += [
        "",
        f"estimated for {core.title}, {found[0].row.engine}, one thread; no device ran it, and nothing is fitted",
        f"against published times of {len(errors.ratios)} networks on {', '.join(core.boards)}, which differ among "
        f"themselves by a factor of {statistics.median(errors.spread.values()):.2f} (median): cycles are off by "
        f"{errors.quantile(50):.0%} (median), {errors.quantile(90):.0%} (90 %), {errors.quantile(100):.0%} (most); "
        f"with one factor fitted on the others {errors.left_out(50):.0%}, {errors.left_out(90):.0%}, "
        f"{errors.left_out(100):.0%}",
    ]
    return "\n".join(lines)

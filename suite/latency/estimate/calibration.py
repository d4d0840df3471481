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

from suite.claims.csv_rows import read_rows
from suite.errors import InputError, NothingMeasuredError
from suite.records.difference import student_quantile
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.text_table import TextColumn, text_table
from suite.typed import read_typed

FOLDER = Path(__file__).parent
CORE_FOLDER = FOLDER / "cores"
"""Cores that milliseconds are estimated for, one TOML file each; adding a core is adding a file."""
LEVEL = 0.9
"""Coverage of an estimate's interval, for one network unlike those compared."""
DEVICES = {"cortex_a78": "snapdragon_778g"}
"""Cores that stand for a device of the claims: the core that the paper's latencies are of, as far as it says."""
BLOCK_COLUMNS = ["instructions", "runs", "share_of_cycles", "kinds"]


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


class Count(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one inference costs: a line of ``counts.csv``, or counted here.

    Attributes:
        network: the model's name, or the user's for a graph or program.
        engine: what ran it.
        mca_model: the core that cycles were modelled for.
        instructions: instructions of one inference.
        cycles: modelled cycles of one inference.
        covered_share: share of the instructions in modelled blocks (0 to 1).
        blocks: modelled blocks.
        loop_share: share of the instructions in loops among them (0 to 1).
        precision: ``fp16`` or ``fp32``; may be empty for a program.
        span: ``network``, or ``with_masks`` where the network stops before its masks; ``program`` for a program; empty
            for the networks of the calibration.
        height_px: of the input; None for a program or a graph whose first input is no picture.
        width_px: likewise.
        source_sha256: digest of the graph or program.
        tools: versions of emulator, LLVM and engine.
        hottest: blocks with most cycles: instructions, runs, share of all cycles, instructions by kind; empty where the
            count came with the suite.
    """

    network: str
    engine: str
    mca_model: str
    instructions: int
    cycles: int
    covered_share: float
    blocks: int
    loop_share: float
    precision: str = ""
    span: str = ""
    height_px: int | None = None
    width_px: int | None = None
    source_sha256: str = ""
    tools: str = ""
    hottest: tuple[tuple[int, int, float, str], ...] = ()


class PublishedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line of ``published.csv``: one thread of a board's core at a clock."""

    network: str
    engine: str
    precision: str
    core: str
    board: str
    clock_ghz: float
    latency_ms: float
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
        count: what was counted.
        core: the core.
        latency_ms: cycles over the clock.
        low_ms: lower end of the interval, at `LEVEL`.
        high_ms: upper end.
    """

    count: Count
    core: Core
    latency_ms: float
    low_ms: float
    high_ms: float

    def settings(self) -> dict[str, Scalar]:
        """Return what was counted and for which core, as JSON and records say it."""
        count = self.count
        return {
            "span": count.span or "network",
            "height_px": count.height_px,
            "width_px": count.width_px,
            "precision": count.precision,
            "threads": 1,
            "core": self.core.title,
            "clock_ghz": self.core.clock_ghz,
            "mca_model": count.mca_model,
            "instructions": count.instructions,
            "cycles": count.cycles,
            "source_sha256": count.source_sha256,
            "tools": count.tools,
        }

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        named = {"model": self.count.network, "engine": self.count.engine, "origin": "estimated"}
        interval = {"interval_ms": [self.low_ms, self.high_ms], "interval_level": LEVEL}
        return {**named, **self.settings(), "latency_ms": self.latency_ms, **interval}


def load_counts() -> list[Count]:
    """Return the counted networks of ``counts.csv``."""
    return [row for _, row in read_rows(FOLDER / "counts.csv", Count)]


def load_published() -> list[PublishedRow]:
    """Return the published times of ``published.csv``."""
    return [row for _, row in read_rows(FOLDER / "published.csv", PublishedRow)]


def compare(core: Core, counts: Sequence[Count], published: Sequence[PublishedRow]) -> Errors:
    """Compare modelled with published cycles, over the networks that all of the core's boards have.

    Times of another engine or precision than was counted do not compare.

    Raises:
        NothingMeasuredError: if fewer than two networks compare.
    """
    modelled = {
        (row.network, row.engine, row.precision): row.cycles for row in counts if row.mca_model == core.mca_model
    }
    cycles: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in published:
        key = (row.network, row.engine, row.precision)
        if row.board in core.boards and key in modelled:
            cycles[key].append(row.latency_ms * row.clock_ghz * 1e6)
    complete = {key: values for key, values in cycles.items() if len(values) == len(core.boards)}
    if len(complete) < 2:
        raise NothingMeasuredError(f"{core.title}: fewer than two networks have counts and times of all its boards")
    return Errors(
        ratios={key[0]: statistics.median(values) / modelled[key] for key, values in complete.items()},
        spread={key[0]: max(values) / min(values) for key, values in complete.items()},
    )


def estimate(count: Count, core: Core, errors: Errors) -> Estimate:
    """Convert a network's cycles to milliseconds of a core; the errors are those of `compare` for this core.

    Raises:
        NothingMeasuredError: if the cycles were modelled for another core.
    """
    if count.mca_model != core.mca_model:
        raise NothingMeasuredError(
            f"{count.network}: was counted for {count.mca_model}, {core.title} needs {core.mca_model}"
        )
    latency_ms, half = count.cycles / core.clock_ghz / 1e6, errors.half_width
    return Estimate(count, core, latency_ms, latency_ms * math.exp(-half), latency_ms * math.exp(half))


def record_lines(found: Sequence[Estimate], core_name: str) -> list[Measurement | Series]:
    """Return record lines: an estimated latency with its interval for each count, and the hottest blocks if known."""
    covers = "error of such estimates against published one-thread times of other networks; not the paper's engine"
    lines: list[Measurement | Series] = []
    for item in found:
        count, subject = item.count, Subject(item.count.network)
        versions = dict(tool.split(" ") for tool in count.tools.split(", ") if tool)
        fields = item.settings() | {
            "runtime": count.engine,
            "runtime_version": versions.get(count.engine),
            "device": DEVICES.get(core_name, core_name),
            "weights": "zeros",
        }
        interval = Interval(item.low_ms, item.high_ms, LEVEL, covers)
        lines.append(
            Measurement("latency_wall_ms", item.latency_ms, subject, fields, interval=interval, origin="estimated")
        )
        if count.hottest:
            rows: list[list[Scalar]] = [list(block) for block in count.hottest]
            lines.append(Series("estimate_blocks", subject, BLOCK_COLUMNS, rows, fields))
    return lines


def estimate_table(found: Sequence[Estimate], errors: Errors) -> str:
    """Return estimates as a table, with what is known of their error."""
    core = found[0].core
    titles = ("model", "span", "input", "precision", "M instr.", "M cycles", "ms", f"{LEVEL:.0%} interval")
    rows = [
        (
            item.count.network,
            item.count.span,
            f"{item.count.height_px}x{item.count.width_px}" if item.count.height_px else "",
            item.count.precision,
            f"{item.count.instructions / 1e6:.1f}",
            f"{item.count.cycles / 1e6:.1f}",
            f"{item.latency_ms:.1f}",
            f"[{item.low_ms:.1f}, {item.high_ms:.1f}]",
        )
        for item in found
    ]
    lines = text_table([TextColumn(title, number=place >= 4) for place, title in enumerate(titles)], rows)
    lines += [
        "",
        f"estimated for {core.title}, {found[0].count.engine}, one thread; no device ran it, and nothing is fitted",
        f"against published times of {len(errors.ratios)} networks on {', '.join(core.boards)}, which differ among "
        f"themselves by a factor of {statistics.median(errors.spread.values()):.2f} (median): cycles are off by "
        f"{errors.quantile(50):.0%} (median), {errors.quantile(90):.0%} (90 %), {errors.quantile(100):.0%} (most); "
        f"with one factor fitted on the others {errors.left_out(50):.0%}, {errors.left_out(90):.0%}, "
        f"{errors.left_out(100):.0%}",
    ]
    return "\n".join(lines)

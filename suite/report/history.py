"""How each number moved from commit to commit, over all records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from suite.records.schema import Scalar
from suite.records.store import RunFile
from suite.report.cell_ids import cell_ids
from suite.report.compare import delta_text, setting_of
from suite.report.delta import Delta, compare_cells
from suite.report.model_options import replaced_options
from suite.report.numbers import cell_text
from suite.report.raw_samples import RawSamples
from suite.report.select import Cell, Sample, select_cells
from suite.report.table import Column, Table, TableCell, missing, text_cell

FOLLOWED = ("mask_ap", "video_ap", "latency_cpu_ms")
FOLLOWED_SPANS = (None, "network", "end_to_end")
ONE_COMMIT = "measured at one commit only"


@dataclass(frozen=True)
class Point:
    """One number at one commit."""

    sha: str
    date: str
    cell: Cell


@dataclass(frozen=True)
class Trend:
    """One number over the commits that measured it, oldest first.

    Attributes:
        cell_id: readable name of the number.
        points: one per commit, over the seeds that all of them have; commits with other seeds are left out.
        delta: the last point against the one before.
    """

    cell_id: str
    points: tuple[Point, ...]
    delta: Delta | None

    @property
    def metric(self) -> str:
        """The metric's name."""
        return self.points[0].cell.metric

    def to_json(self) -> dict[str, Any]:
        """Return the trend as plain values."""
        return {
            "cell": self.cell_id,
            "metric": self.metric,
            "points": [
                {
                    "commit": point.sha,
                    "date": point.date,
                    "value": point.cell.value,
                    "deviation": point.cell.deviation,
                    "samples": len(point.cell.samples),
                    "runs": list(point.cell.run_ids),
                }
                for point in self.points
            ],
            "change": self.delta.to_json() if self.delta else None,
        }


def _is_followed(cell: Cell) -> bool:
    """Whether a cell is a headline number: what the ablation trains and the parts of a time are not."""
    plain = not replaced_options(dict(cell.protocol)) and cell.get("query_passing") is not False
    plain = plain and cell.get("experiment") is None
    return cell.metric in FOLLOWED and plain and cell.get("span") in FOLLOWED_SPANS


def _seed(sample: Sample) -> Scalar:
    """Return the seed that a number depends on: its protocol's. That of a run of timings draws weights and inputs."""
    return sample.measurement.protocol.get("seed")


def _seeds(point: Point) -> set[Scalar]:
    return {_seed(sample) for sample in point.cell.samples}


def _with_shared_seeds(points: Sequence[Point]) -> list[Point]:
    """Return points over the seeds that all have, without those that share none with the later ones.

    Means over different seeds differ though nothing changed.
    """
    shared, kept = _seeds(points[-1]), [points[-1]]
    for point in reversed(points[:-1]):
        if common := shared & _seeds(point):
            shared, kept = common, [point, *kept]
    return [
        replace(
            point,
            cell=replace(point.cell, samples=tuple(item for item in point.cell.samples if _seed(item) in shared)),
        )
        for point in kept
    ]


def trends(runs: Sequence[RunFile], metric: str | None = None, everything: bool = False) -> list[Trend]:
    """Return every number's way through the commits, in order of first appearance.

    Args:
        runs: complete runs, oldest first.
        metric: only this metric of the catalogue; None takes the headline ones.
        everything: all metrics and settings.
    """
    by_commit: dict[str, list[RunFile]] = {}
    for file in runs:
        by_commit.setdefault(file.run.git_sha or "", []).append(file)
    found: dict[tuple[object, ...], list[Point]] = {}
    for sha, group in by_commit.items():
        for cell in select_cells(group)[0]:
            if everything or cell.metric == metric or (metric is None and _is_followed(cell)):
                points = found.setdefault(setting_of(cell), [])
                if not points or points[-1].sha != sha:
                    points.append(Point(sha, cell.latest.started_utc[:10], cell))
                else:
                    points[-1] = Point(sha, cell.latest.started_utc[:10], cell)
    ways = [_with_shared_seeds(points) for points in found.values()]
    # Named among all cells, so that a name is the one that 'explain' knows.
    others = [cell for cell in select_cells(runs)[0] if setting_of(cell) not in found]
    names = {id(cell): name for name, cell in cell_ids([*(points[-1].cell for points in ways), *others]).items()}
    raw = RawSamples(runs)
    return [
        Trend(
            names[id(points[-1].cell)],
            tuple(points),
            compare_cells(points[-2].cell, points[-1].cell, raw) if len(points) > 1 else None,
        )
        for points in ways
    ]


def _point_cell(point: Point) -> TableCell:
    return TableCell(cell_text(point.cell), point.cell.value, runs=point.cell.run_ids)


def history_table(found: Sequence[Trend]) -> Table:
    """Return one row per number: first, last but one and last value, and the last change with its verdict."""
    columns = (
        Column("measured"),
        Column("commits", align="right"),
        Column("first", align="right"),
        Column("before", align="right"),
        Column("latest", align="right"),
        Column("latest - before [95 %]", align="right"),
        Column("verdict"),
        Column("latest commit"),
    )
    rows = []
    for trend in found:
        points, delta = trend.points, trend.delta
        last = points[-1]
        if delta is None:
            change = (missing(ONE_COMMIT), missing(ONE_COMMIT), TableCell())
        else:
            verdict = TableCell(delta.word, bold=delta.word in ("better", "worse"), note=delta.basis)
            change = (_point_cell(points[-2]), TableCell(delta_text(trend.metric, delta), delta.value), verdict)
        rows.append(
            (
                text_cell(trend.cell_id),
                TableCell(str(len(points)), float(len(points))),
                _point_cell(points[0]),
                change[0],
                _point_cell(last),
                change[1],
                change[2],
                text_cell(f"{last.sha[:10] or 'no commit'} {last.date}"),
            )
        )
    return Table("history", "History: how the measured numbers moved from commit to commit", columns, tuple(rows))

"""The recorded costs of errors and AP of parts, arranged by what was trained and how it was scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from suite.report.evidence import Evidence
from suite.report.measured import accuracy_cells, setting
from suite.report.select import Cell

NOT_RECORDED = "no record holds it yet: python -m suite reproduce"
PART_KEYS = ("error", "category", "size")


@dataclass(frozen=True, order=True)
class Scored:
    """One way of scoring: masks of images (no interval), or tracks at a key-frame interval T."""

    key_frame_interval: int | None

    @property
    def kind_of_ap(self) -> str:
        """First word of its metrics."""
        return "mask" if self.key_frame_interval is None else "video"

    @property
    def title(self) -> str:
        """Its name above a column."""
        return "images" if self.key_frame_interval is None else f"video T = {self.key_frame_interval}"

    @property
    def place(self) -> int:
        """Images come first, then videos by T."""
        return self.key_frame_interval or 0


@dataclass
class Group:
    """The cells of one model, trained in one way, on one dataset: by way of scoring, metric and part."""

    where: str
    model: str
    trained: str
    cells: dict[tuple[Scored, str, str, str], Cell] = field(default_factory=dict)

    def get(self, scored: Scored, metric: str, key: str, name: str) -> Cell | None:
        """Return the cell of a metric (without its first word) for one part, e.g. ``("error", "missed")``."""
        return self.cells.get((scored, metric, key, name))

    def scored(self) -> list[Scored]:
        """Return the ways of scoring that are there."""
        return sorted({key[0] for key in self.cells}, key=lambda scored: scored.place)

    def names(self, key: str) -> list[str]:
        """Return the parts of this key, e.g. all categories, in the records' order."""
        return list(dict.fromkeys(name for _, _, kind, name in self.cells if kind == key))


def error_groups(evidence: Evidence, metrics: Sequence[str]) -> list[Group]:
    """Return the groups that have any of these metrics (without their first word), the embedded set first.

    Runs without association are left out: the kinds of their errors are those of T = 1.
    """
    groups: dict[tuple[str, str, str], Group] = {}
    for metric in metrics:
        for kind_of_ap in ("mask", "video"):
            for cell in accuracy_cells(evidence, f"{kind_of_ap}_{metric}"):
                interval = cell.get("key_frame_interval")
                key = next((key for key in PART_KEYS if cell.get(key) is not None), None)
                if key is None or cell.get("association") is False:
                    continue
                where = f"{cell.dataset.name} {cell.dataset.split}" if cell.dataset else ""
                scored = Scored(interval if kind_of_ap == "video" and isinstance(interval, int) else None)
                group = groups.setdefault((where, cell.model, setting(cell)), Group(where, cell.model, setting(cell)))
                group.cells[scored, metric, key, str(cell.get(key))] = cell
    return list(groups.values())

"""Everything a table, figure or ledger may use: claims, selected records, and which model stands for which row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.claims.claim import Claim
from suite.claims.loader import load_claims
from suite.records.schema import Run, Scalar, Series
from suite.records.store import RunFile, read_folder
from suite.report.counterparts import find_counterparts
from suite.report.select import Cell, select_cells


@dataclass(frozen=True)
class Evidence:
    """The whole input of the report.

    Attributes:
        claims: every published number.
        runs: every complete run, oldest first.
        cells: what the selection rule of `suite.report.select` made of the runs.
        left_out: one line per record or measurement not used, with its reason.
        counterparts: published row id -> names of the models that stand for it here.
    """

    claims: tuple[Claim, ...]
    runs: tuple[RunFile, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]
    counterparts: Mapping[str, tuple[str, ...]]

    def claim(self, claim_id: str) -> Claim | None:
        """Return the claim of this id, or None."""
        return next((claim for claim in self.claims if claim.claim_id == claim_id), None)

    def find(
        self,
        metric: str,
        model: str | None = None,
        protocol: Mapping[str, Scalar] | None = None,
        dataset: str | None = None,
    ) -> list[Cell]:
        """Return the cells of a metric, newest last.

        Args:
            metric: name in the metric catalogue.
            model: only this model.
            protocol: only cells with these protocol entries; None as a value means that the entry is absent.
            dataset: only this dataset, by name.
        """
        found = [
            cell
            for cell in self.cells
            if cell.metric == metric
            and (model is None or cell.model == model)
            and (dataset is None or (cell.dataset is not None and cell.dataset.name == dataset))
            and all(cell.get(key) == value for key, value in (protocol or {}).items())
        ]
        return sorted(found, key=lambda cell: (cell.latest.started_utc, cell.latest.run_id))

    def series(self, name: str) -> list[tuple[Run, Series]]:
        """Return every raw series of this name with its run, oldest first."""
        return [(file.run, series) for file in self.runs for series in file.series if series.name == name]


def gather(
    claims: Sequence[Claim],
    runs: Sequence[RunFile],
    refused: Sequence[str] = (),
    counterparts: Mapping[str, tuple[str, ...]] | None = None,
) -> Evidence:
    """Select from runs already read.

    Args:
        claims: every published number.
        runs: complete runs, oldest first.
        refused: one line per record file that could not be read.
        counterparts: published row id -> model names; the suite's own models if None.
    """
    cells, unused = select_cells(runs)
    known = find_counterparts() if counterparts is None else counterparts
    return Evidence(tuple(claims), tuple(runs), tuple(cells), (*refused, *unused), known)


def load_evidence(records: Path) -> Evidence:
    """Read the claims and a folder of records.

    Args:
        records: folder of ``*.jsonl`` run files; absent or empty means that nothing was measured yet.
    """
    runs, refused = read_folder(records)
    return gather(load_claims(), runs, refused)

"""Everything a table, figure or page may use: claims, cells selected from the records, and a verdict for each claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, get_args

from suite.claims.claim import Claim
from suite.claims.consistency import Finding
from suite.records.schema import Artifact, Dataset, Run, Scalar, Series
from suite.records.store import RunFile
from suite.report.cells import Cell
from suite.report.timings import Timings

VerdictWord = Literal["reproduced", "not reproduced", "partly", "direction holds", "undecided", "estimated", "not run"]
VERDICTS: tuple[VerdictWord, ...] = get_args(VerdictWord)

_SPLITS_DIFFER = {
    "coco": "val2017 and test-dev are different images: an AP on one is no AP on the other",
    "youtube-vis": "the local split is part of train, not of valid: an AP on one is no AP on the other",
}


def same_split(claim: Claim, dataset: Dataset) -> bool:
    """Tell whether data on record are the split a claim is about; ``test-dev2017`` is the paper's ``test-dev``."""
    published = claim.dataset.split()[-1]
    return dataset.split in (published, f"{published}2017")


@dataclass(frozen=True)
class Verdict:
    """A published claim with our value, a word, and its proof: one row of the ledger.

    Attributes:
        claim: the published number.
        word: one of `VERDICTS`.
        rule: how the word follows from the numbers; empty where nothing was run.
        reason: what was found in one clause, or why nothing was run.
        ours: our value in the claim's unit, None where there is none.
        interval: 95 % interval of ``ours`` in the claim's unit, where the records give one.
        origin: measured, estimated or third-party; None where there is no value.
        cells: the measurements behind ``ours``.
        command: the command whose record would decide the claim; empty where no command of the suite could.
        inputs: the commands that make what ``command`` reads.
    """

    claim: Claim
    word: VerdictWord
    rule: str
    reason: str
    ours: float | None = None
    interval: tuple[float, float] | None = None
    origin: str | None = None
    cells: tuple[Cell, ...] = ()
    command: str = ""
    inputs: str = ""

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The runs behind ``ours``."""
        return tuple(dict.fromkeys(run for cell in self.cells for run in cell.run_ids))

    @property
    def reading_order(self) -> tuple[bool, bool]:
        """Place for a reader: with a verdict before not run, MobileInst's own numbers before prior art's."""
        return (self.word == "not run", not self.claim.own)

    @property
    def scored_on(self) -> str:
        """For an AP, the split that our value, or a third party's, was scored on; else empty."""
        if self.claim.device is not None or self.claim.kind != "absolute":
            return ""
        data = self._data
        return f"{data.name} {data.split}" if data else "val2017" if self.origin == "third-party" else ""

    @property
    def split_note(self) -> str:
        """Why an AP on that split must not be taken for the published one; empty where they are the same."""
        same = not self.scored_on or (self._data is not None and same_split(self.claim, self._data))
        return "" if same else _SPLITS_DIFFER[self.claim.family]

    @property
    def _data(self) -> Dataset | None:
        return next((cell.dataset for cell in self.cells if cell.dataset is not None), None)

    def to_json(self) -> dict[str, Any]:
        """Return claim and verdict as plain values."""
        claim = self.claim
        return {
            "claim": claim.claim_id,
            "kind": claim.kind,
            "statement": claim.statement,
            "published": claim.value,
            "published_high": claim.value_high,
            "unit": claim.unit,
            "dataset": claim.dataset,
            "source": claim.source,
            "protocol": claim.protocol,
            "doubts": list(claim.doubts),
            "verdict": self.word,
            "rule": self.rule,
            "reason": self.reason,
            "ours": self.ours,
            "interval": list(self.interval) if self.interval else None,
            "origin": self.origin,
            "upstream": claim.upstream,
            "ours_on": self.scored_on,
            "splits_note": self.split_note,
            "command": self.command,
            "inputs": self.inputs,
            "runs": list(self.run_ids),
        }


@dataclass(frozen=True, eq=False)
class Evidence:
    """The whole input of the report, built once.

    Attributes:
        claims: every published number.
        runs: every complete run, oldest first.
        cells: what the selection rule of `suite.report.cells` made of the runs.
        left_out: one line per record or measurement not used, with its reason.
        counterparts: published row id -> names of the models that stand for it here.
        timings: raw timing samples of the runs.
        verdicts: one per claim of the paper, in the claims' order (`suite.report.verdicts.load_evidence` fills them).
        findings: checks of the published numbers against each other.
    """

    claims: tuple[Claim, ...]
    runs: tuple[RunFile, ...]
    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]
    counterparts: Mapping[str, tuple[str, ...]]
    timings: Timings
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = field(default=())

    @cached_property
    def _by_metric(self) -> dict[str, list[Cell]]:
        groups: dict[str, list[Cell]] = {}
        for cell in sorted(self.cells, key=lambda cell: (cell.latest.started_utc, cell.latest.run_id)):
            groups.setdefault(cell.metric, []).append(cell)
        return groups

    @cached_property
    def _claims(self) -> dict[str, Claim]:
        return {claim.claim_id: claim for claim in self.claims}

    @cached_property
    def _verdicts(self) -> dict[str, Verdict]:
        return {verdict.claim.claim_id: verdict for verdict in self.verdicts}

    def claim(self, claim_id: str) -> Claim | None:
        """Return the claim of this id, or None."""
        return self._claims.get(claim_id)

    def verdict(self, claim_id: str) -> Verdict | None:
        """Return the verdict on the claim of this id, or None."""
        return self._verdicts.get(claim_id)

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
        wanted = dict(protocol or {})
        return [
            cell
            for cell in self._by_metric.get(metric, [])
            if (model is None or cell.model == model)
            and (dataset is None or (cell.dataset is not None and cell.dataset.name == dataset))
            and cell.has(wanted)
        ]

    def series(self, name: str) -> list[tuple[Run, Series]]:
        """Return every raw series of this name with its run, oldest first."""
        return [(file.run, series) for file in self.runs for series in file.series if series.name == name]

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """The newest artifact of each name that lies under ``reports/``."""
        return {item.name: item for file in self.runs for item in file.artifacts if item.path.startswith("reports/")}

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        found = Counter(verdict.word for verdict in self.verdicts)
        return {word: found[word] for word in VERDICTS}

    @property
    def coverage(self) -> str:
        """The one-line summary, e.g. ``"214 published claims (203 numbers, ...): 0 reproduced, ..."``."""
        kinds = Counter(verdict.claim.kind for verdict in self.verdicts)
        split = f"{kinds['absolute']} numbers, {kinds['ratio']} ratios, {kinds['trend']} trends"
        words = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        return f"{len(self.verdicts)} published claims ({split}): {words}"

    @property
    def not_run(self) -> dict[str, list[Verdict]]:
        """The claims that were not run by what they need, the largest group first."""
        groups: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            if verdict.word == "not run":
                groups.setdefault(verdict.reason, []).append(verdict)
        return dict(sorted(groups.items(), key=lambda item: -len(item[1])))

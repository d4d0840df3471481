"""From a number of the report back to the run behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from suite.errors import InputError
from suite.records.schema import METRICS
from suite.records.store import RunFile
from suite.report.cells import Cell, cell_ids
from suite.report.evidence import Evidence, Verdict
from suite.report.measured import cautions, provenance_line
from suite.report.numbers import cell_text, claim_label, ours_text, published_text

SHOWN_MATCHES = 12
GIT_STATES = {True: "with uncommitted changes", False: "clean", None: "unknown"}


def cell_to_json(cell: Cell) -> dict[str, Any]:
    """Return a measured cell as plain values: mean, deviation, every seed's value, protocol, runs."""
    return {
        "metric": cell.metric,
        "model": cell.model,
        "dataset": msgspec.to_builtins(cell.dataset) if cell.dataset else None,
        "protocol": dict(cell.protocol),
        "value": cell.value,
        "deviation": cell.deviation,
        "interval": msgspec.to_builtins(cell.interval) if cell.interval else None,
        "origin": cell.origin,
        "uncommitted_changes": cell.dirty,
        "samples": [
            {"seed": sample.seed, "value": sample.value, "run": sample.run.run_id, "git_sha": sample.run.git_sha}
            for sample in cell.samples
        ],
    }


def ledger_to_json(evidence: Evidence) -> dict[str, Any]:
    """Return coverage, every claim, every measured cell, the checks of the paper's numbers and what was left out."""
    return {
        "coverage": evidence.coverage,
        "counts": evidence.counts,
        "provenance": provenance_line(evidence),
        "claims": [verdict.to_json() for verdict in evidence.verdicts],
        "measured": [cell_to_json(cell) for cell in evidence.cells],
        "cautions": cautions(evidence),
        "findings": [msgspec.to_builtins(finding) for finding in evidence.findings],
        "left_out": list(evidence.left_out),
    }


def names(evidence: Evidence) -> list[str]:
    """Return everything that can be explained: ids of claims and of measured cells."""
    return [*(claim.claim_id for claim in evidence.claims), *cell_ids(evidence.cells)]


def find(evidence: Evidence, wanted: str) -> str:
    """Return the one id that is, or contains, ``wanted``.

    Raises:
        InputError: if none or several do; the message lists the first ones.
    """
    known = names(evidence)
    if wanted in known:
        return wanted
    matches = [name for name in known if wanted in name]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        raise InputError(f"no claim or measured cell is called {wanted!r}; 'python -m suite explain' lists them")
    more = f" and {len(matches) - SHOWN_MATCHES} more" if len(matches) > SHOWN_MATCHES else ""
    raise InputError(
        f"{wanted!r} fits {len(matches)} cells: {', '.join(matches[:SHOWN_MATCHES])}{more}; write one in full"
    )


def _runs(evidence: Evidence, run_ids: tuple[str, ...]) -> list[RunFile]:
    return [file for file in evidence.runs if file.run.run_id in run_ids]


def explain(evidence: Evidence, cell_id: str) -> dict[str, Any]:
    """Return all that is known of one claim or measured cell as plain values.

    Args:
        evidence: claims and records.
        cell_id: an id of `names`.
    """
    known: dict[str, Any]
    verdict, cell = evidence.verdict(cell_id), cell_ids(evidence.cells).get(cell_id)
    run_ids: tuple[str, ...] = ()
    if verdict is not None:
        known, run_ids = {"ledger": verdict.to_json()}, verdict.run_ids
    elif cell is not None:
        known, run_ids = {"cell": cell_to_json(cell)}, cell.run_ids
    else:
        known = {"claim": msgspec.to_builtins(evidence.claim(cell_id))}
    runs = [{"file": file.path.name, **msgspec.to_builtins(file.run)} for file in _runs(evidence, run_ids)]
    return {"id": cell_id, **known, "runs": runs}


def _verdict_lines(verdict: Verdict) -> list[str]:
    claim = verdict.claim
    lines = [
        f"{claim.claim_id}: {claim_label(claim)}",
        f"published   {published_text(claim)} ({claim.source}; {claim.protocol})",
    ]
    if verdict.ours is not None:
        whose = "third party" if verdict.origin == "third-party" else "ours"
        lines.append(f"{whose:<12}{ours_text(verdict, with_origin=False)} {claim.unit} ({verdict.origin})")
    if verdict.scored_on:
        note = f" ({verdict.split_note})" if verdict.split_note else ""
        lines.append(f"split       published on {claim.dataset}; ours: {verdict.scored_on}{note}")
    lines.append(f"verdict     {verdict.word}: {verdict.reason}")
    lines += [f"rule        {verdict.rule}"] if verdict.rule else []
    lines += [f"command     {verdict.command}"] if verdict.command else []
    return lines + [f"doubt       {doubt}" for doubt in claim.doubts]


def _cell_lines(cell_id: str, cell: Cell) -> list[str]:
    metric = METRICS[cell.metric]
    unit = {"fraction": "AP points", "ratio": ""}.get(metric.unit, metric.unit)
    lines = [f"{cell_id}: {metric.label}", f"value       {cell_text(cell)} {unit} ({cell.origin})".rstrip()]
    if cell.interval:
        interval = cell.interval
        lines.append(f"interval    {interval.low:.6g} to {interval.high:.6g}, {interval.level:.0%}: {interval.covers}")
    if cell.dataset:
        pinned = "pinned" if cell.dataset.pinned else "not pinned"
        lines.append(f"data        {cell.where}, {pinned}, digest {cell.dataset.digest}")
    lines.append("protocol    " + ", ".join(f"{key}={value}" for key, value in cell.protocol))
    for sample in cell.samples:
        weights = sample.measurement.subject.weights_sha256 or "random"
        seed = "" if sample.seed is None else f"seed {sample.seed}: "
        lines.append(f"sample      {seed}{sample.value:.17g}, weights {weights}, run {sample.run.run_id}")
    return lines


def _run_lines(file: RunFile) -> list[str]:
    run = file.run
    packages = ", ".join(f"{name} {version}" for name, version in sorted(run.packages.items()))
    return [
        f"run         {file.path.name}, {run.started_utc}",
        f"  command   {run.command}",
        f"  commit    {run.git_sha} ({GIT_STATES[run.git_dirty]})",
        f"  machine   {run.machine.cpu}, {run.machine.cores} cores, {run.machine.system}",
        f"  packages  {packages}",
    ]


def explanation(evidence: Evidence, cell_id: str) -> str:
    """Return the same as `explain` for a person to read."""
    verdict, cell = evidence.verdict(cell_id), cell_ids(evidence.cells).get(cell_id)
    run_ids: tuple[str, ...] = ()
    if verdict is not None:
        lines, run_ids = _verdict_lines(verdict), verdict.run_ids
    elif cell is not None:
        lines, run_ids = _cell_lines(cell_id, cell), cell.run_ids
    else:
        claim = evidence.claim(cell_id)
        assert claim is not None
        lines = [f"{claim_label(claim)}", f"printed     {published_text(claim)} by {claim.source}: {claim.protocol}"]
    for file in _runs(evidence, run_ids):
        lines += _run_lines(file)
    return "\n".join(lines) + "\n"

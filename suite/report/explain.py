"""From a number of the report back to the run behind it."""

from __future__ import annotations

from typing import Any

import msgspec

from suite.errors import InputError
from suite.records.schema import METRICS
from suite.report.cell_ids import cell_ids
from suite.report.evidence import Evidence
from suite.report.labels import claim_label, published_text
from suite.report.ledger import LedgerRow, build_ledger
from suite.report.ledger_json import cell_to_json
from suite.report.numbers import cell_text, value_text
from suite.report.select import Cell

SHOWN_MATCHES = 12


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


def explain(evidence: Evidence, cell_id: str) -> dict[str, Any]:
    """Return all that is known of one claim or measured cell as plain values.

    Args:
        evidence: claims and records.
        cell_id: an id of `names`.
    """
    for row in build_ledger(evidence).rows:
        if row.claim.claim_id == cell_id:
            return {"id": cell_id, "ledger": row.to_json(), "runs": run_details(evidence, row.run_ids)}
    cells = cell_ids(evidence.cells)
    if cell_id in cells:
        cell = cells[cell_id]
        return {"id": cell_id, "cell": cell_to_json(cell), "runs": run_details(evidence, cell.run_ids)}
    claim = evidence.claim(cell_id)
    return {"id": cell_id, "claim": msgspec.to_builtins(claim), "runs": []}


def run_details(evidence: Evidence, run_ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the first line of each named run, with its file's name."""
    return [
        {"file": file.path.name, **msgspec.to_builtins(file.run)}
        for file in evidence.runs
        if file.run.run_id in run_ids
    ]


def _row_lines(row: LedgerRow) -> list[str]:
    claim = row.claim
    lines = [
        f"{claim.claim_id}: {claim_label(claim)}",
        f"published   {published_text(claim)} ({claim.source}; {claim.protocol})",
    ]
    if row.ours is not None:
        interval = ""
        if row.interval:
            interval = " [" + ", ".join(value_text(end, claim.unit) for end in row.interval) + "]"
        whose = "third party" if row.origin == "third-party" else "ours"
        lines.append(f"{whose:<12}{value_text(row.ours, claim.unit)}{interval} {claim.unit} ({row.origin})")
    if row.splits.published:
        note = f" ({row.splits.note})" if row.splits.note else ""
        lines.append(f"split       published on {row.splits.published}; ours: {row.splits.ours}{note}")
    lines.append(f"verdict     {row.verdict}: {row.reason}")
    lines += [f"rule        {row.rule}"] if row.rule else []
    lines += [f"command     {row.command}"] if row.command else []
    return lines + [f"doubt       {doubt}" for doubt in claim.doubts]


def _cell_lines(cell_id: str, cell: Cell) -> list[str]:
    metric = METRICS[cell.metric]
    unit = {"fraction": "AP points", "ratio": ""}.get(metric.unit, metric.unit)
    lines = [f"{cell_id}: {metric.label}", f"value       {cell_text(cell)} {unit} ({cell.origin})".rstrip()]
    if cell.interval:
        interval = cell.interval
        lines.append(f"interval    {interval.low:.6g} to {interval.high:.6g}, {interval.level:.0%}: {interval.covers}")
    if cell.dataset:
        data = cell.dataset
        pinned = "pinned" if data.pinned else "not pinned"
        lines.append(f"data        {data.name} {data.split}, {pinned}, digest {data.digest}")
    lines.append("protocol    " + ", ".join(f"{key}={value}" for key, value in cell.protocol))
    for sample in cell.samples:
        weights = sample.measurement.subject.weights_sha256 or "random"
        seed = "" if sample.seed is None else f"seed {sample.seed}: "
        lines.append(f"sample      {seed}{sample.value:.17g}, weights {weights}, run {sample.run.run_id}")
    return lines


def explanation(evidence: Evidence, cell_id: str) -> str:
    """Return the same as `explain` for a person to read."""
    rows = {row.claim.claim_id: row for row in build_ledger(evidence).rows}
    cells = cell_ids(evidence.cells)
    run_ids: tuple[str, ...] = ()
    if cell_id in rows:
        lines, run_ids = _row_lines(rows[cell_id]), rows[cell_id].run_ids
    elif cell_id in cells:
        lines, run_ids = _cell_lines(cell_id, cells[cell_id]), cells[cell_id].run_ids
    else:
        claim = evidence.claim(cell_id)
        assert claim is not None
        lines = [f"{claim_label(claim)}", f"printed     {published_text(claim)} by {claim.source}: {claim.protocol}"]
    for file in evidence.runs:
        run = file.run
        if run.run_id in run_ids:
            state = {True: "with uncommitted changes", False: "clean", None: "unknown"}[run.git_dirty]
            packages = ", ".join(f"{name} {version}" for name, version in sorted(run.packages.items()))
            lines += [
                f"run         {file.path.name}, {run.started_utc}",
                f"  command   {run.command}",
                f"  commit    {run.git_sha} ({state})",
                f"  machine   {run.machine.cpu}, {run.machine.cores} cores, {run.machine.system}",
                f"  packages  {packages}",
            ]
    return "\n".join(lines) + "\n"

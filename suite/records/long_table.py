"""All measurements of some runs as one long pandas frame: one row a number, one column a field of its protocol."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from suite.records.schema import METRICS
from suite.records.store import RunFile


def long_table(runs: Sequence[RunFile]) -> pd.DataFrame:
    """Return one row per measurement, in the order of the runs.

    Columns: the run (``run_id``, ``started_utc``, ``git_sha``, ``git_dirty``, ``machine``, ``command``), what was
    measured (``metric``, ``unit``, ``value``, ``origin``, ``reason``, ``interval_low``, ``interval_high``), of what
    (``model``, ``weights_sha256``, ``dataset``, ``split``, ``digest``) and the protocol's fields as ``protocol.NAME``.
    A field that a measurement does not have is missing, never zero.
    """
    rows = []
    for found in runs:
        run = found.run
        for item in found.measurements:
            dataset, interval = item.dataset, item.interval
            rows.append(
                {
                    "run_id": run.run_id,
                    "started_utc": run.started_utc,
                    "git_sha": run.git_sha,
                    "git_dirty": run.git_dirty,
                    "machine": run.machine.cpu,
                    "command": run.command,
                    "metric": item.metric,
                    "unit": METRICS[item.metric].unit,
                    "value": item.value,
                    "origin": item.origin,
                    "reason": item.reason,
                    "interval_low": interval.low if interval else None,
                    "interval_high": interval.high if interval else None,
                    "model": item.subject.model,
                    "weights_sha256": item.subject.weights_sha256,
                    "dataset": dataset.name if dataset else None,
                    "split": dataset.split if dataset else None,
                    "digest": dataset.digest if dataset else None,
                    **{f"protocol.{name}": value for name, value in item.protocol.items()},
                }
            )
    return pd.DataFrame(rows)

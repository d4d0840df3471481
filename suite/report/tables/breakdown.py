"""Where a network's milliseconds go on the host: times and arithmetic by module, then every long layer."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

from suite.records.cells import short_cpu
from suite.records.module_times import by_module
from suite.records.schema import Run, Scalar
from suite.report.evidence import Evidence
from suite.report.models import display_name
from suite.report.table import Row, Table, TableCell, make_table, milliseconds, number_cell, ratio_text
from suite.report.tables import table

LONGEST = 40
"""Layers shown of each breakdown."""
NOTES = (
    "Modules first, then the longest layers: a layer is a node of the engine's own optimised graph, named by the "
    "module and operator it comes from; the record holds all of them.",
    "Times are ONNX Runtime's own, the shortest of several runs for each node, so that other load does not count; "
    "a fused node counts for the module of its last operator, a change of layout for the module before it.",
    "MACs are those of direct convolution; a module computed by Winograd's filtering does fewer and may so pass "
    "100 % of the reference.",
)


class _Breakdown(NamedTuple):
    """The latest breakdown of a model at one input size on one processor: its run, layers, and MACs by module.

    ``layers`` has the recorded columns: module, operator, node, time_ms.
    """

    run: Run
    model: str
    protocol: dict[str, Scalar]
    layers: pd.DataFrame
    macs: dict[str, int]

    @property
    def title(self) -> str:
        """Model and input size."""
        return f"{display_name(self.model)} at {self.protocol.get('height_px')}x{self.protocol.get('width_px')}"

    def number(self, key: str) -> float:
        """Return a number of the protocol, 0 where it has none."""
        value = self.protocol.get(key)
        return float(value) if isinstance(value, int | float) else 0.0


def _latest(evidence: Evidence) -> list[_Breakdown]:
    counted = {(run.run_id, one.subject.model): one.rows for run, one in evidence.series("module_macs")}
    found = {}
    for run, series in evidence.series("latency_layers"):
        model, layers = series.subject.model, pd.DataFrame(series.rows, columns=series.columns)
        macs = {str(name): int(value or 0) for name, value in counted.get((run.run_id, model), ())}
        one = _Breakdown(run, model, series.protocol, layers, macs)
        found[one.title, run.machine.cpu] = one
    return list(found.values())


def _rows(found: _Breakdown) -> list[Row]:
    """Return one row per module in order of execution, then the `LONGEST` layers, the longest first."""
    runs, peak, layers = (found.run.run_id,), found.number("product_gmacs_per_s"), found.layers
    total = layers["time_ms"].sum()

    def row(name: str, kernel: str, time_ms: float, so_far: float | None = None) -> dict[str, TableCell | str]:
        return {
            "model": display_name(found.model),
            "module or layer": name,
            "kernel": kernel,
            "ms": number_cell(time_ms, "ms", runs),
            "% of time": number_cell(100 * time_ms / total, ".1f", runs),
            "% so far": "" if so_far is None else number_cell(so_far, ".1f", runs),
        }

    rows: list[Row] = []
    for item in by_module(zip(layers["module"], layers["time_ms"], strict=True), found.macs):
        shown = row(item.module, "", item.time_ms)
        if item.macs:
            shown["MACs G"] = number_cell(item.macs / 1e9, ".3f", runs)
            shown["GMAC/s"] = number_cell(item.gmacs_per_s, ".1f", runs)
        if item.macs and peak:
            shown["% of reference"] = number_cell(100 * item.gmacs_per_s / peak, ".0f", runs)
        rows.append(shown)
    longest = layers.sort_values("time_ms", ascending=False, kind="stable").head(LONGEST)
    shares = (100 * longest["time_ms"] / total).cumsum()
    places = zip(longest["node"], longest["operator"], longest["time_ms"], shares, strict=True)
    return rows + [row(node, kernel, time_ms, so_far) for node, kernel, time_ms, so_far in places]


def _summary(evidence: Evidence, found: _Breakdown) -> str:
    """Return one sentence: total time, share of the reference's speed, speed-up by export, longest kernels."""
    cpu_ms, peak, macs = (found.number(key) for key in ("cpu_ms", "product_gmacs_per_s", "macs"))
    words = f"{found.title} on {short_cpu(found.run.machine.cpu)}: {milliseconds(cpu_ms)} ms CPU"
    if cpu_ms and peak:
        speed, reference = macs / cpu_ms / 1e6, found.protocol.get("reference", "large matrix product")
        words += (
            f", {speed:.1f} GMAC/s counted as direct convolution = {speed / peak:.2f} of the {peak:.1f} GMAC/s of a "
            f"{reference} in the same rounds"
        )
        done = found.number("done_macs")
        if done and done < macs:
            words += f" ({done / cpu_ms / 1e6 / peak:.2f} of it counted as the {done / 1e9:.2f} GMACs that are done)"
    size = {key: found.protocol.get(key) for key in ("height_px", "width_px")}
    if cell := evidence.newest("export_speedup", found.model, size):
        took = ratio_text(cell.value, cell.interval)
        words += f"; the graph as torch's exporter leaves it takes {took} times as long"
    times = found.layers.groupby("operator", sort=False)["time_ms"].sum().sort_values(ascending=False, kind="stable")
    kernels = ", ".join(f"{name} {100 * time / times.sum():.0f} %" for name, time in times.head(5).items())
    return f"{words}. Longest kernels: {kernels}."


@table(10)
def breakdown(evidence: Evidence) -> Table:
    """Return one row per module of each recorded breakdown and one per long layer."""
    recorded = _latest(evidence)
    notes = [_summary(evidence, found) for found in recorded]
    for found in recorded:
        rest = found.layers["time_ms"].sort_values(ascending=False).iloc[LONGEST:]
        if len(rest):
            notes.append(f"{found.title}: {len(rest)} further layers take {milliseconds(rest.sum())} ms together.")
    absent = "Nothing to show: no layer times are recorded yet; run: python -m suite latency breakdown --record."
    notes += [absent] * (not recorded)
    title = "Where a network's time goes: one core, module by module and layer by layer"
    rows = [row for found in recorded for row in _rows(found)]
    return make_table(title, rows, (*notes, *NOTES))

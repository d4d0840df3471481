"""Where every millisecond of a network goes: each module's time, arithmetic and speed, beside what the core can do."""

from __future__ import annotations

from dataclasses import replace

from suite.report.evidence import Evidence
from suite.report.host_ratio import short_cpu
from suite.report.layer_evidence import MISSING, LayerEvidence, layer_evidence
from suite.report.numbers import milliseconds, ratio
from suite.report.table import Column, Table, TableCell, text_cell
from suite.report.tables._parts import closing_notes, number_column


def _number(value: float, text: str, runs: tuple[str, ...]) -> TableCell:
    return TableCell(text, value, runs=runs)


def _rows(found: LayerEvidence) -> list[tuple[TableCell, ...]]:
    runs, peak = (found.run.run_id,), found.number("product_gmacs_per_s")
    rows: list[tuple[TableCell, ...]] = []
    for item in found.modules:
        share = 100 * item.time_ms / found.total_ms
        speed = item.gmacs_per_s if item.macs else None
        of_peak = 100 * speed / peak if speed is not None and peak else None
        rows.append(
            (
                text_cell(found.model),
                text_cell(item.module),
                _number(item.time_ms, milliseconds(item.time_ms), runs),
                _number(share, f"{share:.1f}", runs),
                TableCell() if speed is None else _number(item.macs / 1e9, f"{item.macs / 1e9:.3f}", runs),
                TableCell() if speed is None else _number(speed, f"{speed:.1f}", runs),
                TableCell() if of_peak is None else _number(of_peak, f"{of_peak:.0f}", runs),
            )
        )
    return rows


def summary(evidence: Evidence, found: LayerEvidence) -> str:
    """Return one sentence: total time, share of the matrix product's speed, speed-up by export."""
    cpu_ms, peak, macs = (found.number(key) for key in ("cpu_ms", "product_gmacs_per_s", "macs"))
    words = f"{found.model} at {found.size} on {short_cpu(found.run.machine.cpu)}: {milliseconds(cpu_ms)} ms CPU"
    if cpu_ms and peak:
        speed = macs / cpu_ms / 1e6
        words += (
            f", {speed:.1f} GMAC/s counted as direct convolution = {speed / peak:.2f} of a large matrix product's "
            f"{peak:.1f} GMAC/s in the same rounds"
        )
        done = found.number("done_macs")
        if done and done < macs:
            words += f" ({done / cpu_ms / 1e6 / peak:.2f} of it counted as the {done / 1e9:.2f} GMACs that are done)"
    size = {key: found.protocol.get(key) for key in ("height_px", "width_px")}
    for cell in evidence.find("export_speedup", found.model, size)[-1:]:
        interval = cell.interval
        spread = f" [{ratio(interval.low)}, {ratio(interval.high)}]" if interval else ""
        words += f"; the graph as torch's exporter leaves it takes {ratio(cell.value)}{spread} times as long"
    kernels = ", ".join(f"{name} {100 * time_ms / found.total_ms:.0f} %" for name, time_ms in found.operators[:5])
    return f"{words}. Longest kernels: {kernels}."


def build(evidence: Evidence) -> Table:
    """Return one row per module of each recorded breakdown, in order of execution."""
    columns = (
        Column("model"),
        Column("module"),
        number_column("ms"),
        number_column("% of time"),
        number_column("MACs G"),
        number_column("GMAC/s"),
        number_column("% of matrix product"),
    )
    all_found = layer_evidence(evidence)
    rows = [row for found in all_found for row in _rows(found)]
    table = Table("breakdown", "Where a network's time goes: one core, module by module", columns, tuple(rows))
    notes = (
        *(summary(evidence, found) for found in all_found),
        *(() if all_found else (f"Nothing to show: {MISSING}.",)),
        "Times are ONNX Runtime's own, the shortest of several runs for each node, so that other load does not count; "
        "a fused node counts for the module of its last operator, a change of layout for the module before it.",
        "MACs are those of direct convolution; a module computed by Winograd's filtering does fewer and may so pass "
        "100 % of the matrix product.",
    )
    return replace(table, notes=closing_notes(evidence, *notes))

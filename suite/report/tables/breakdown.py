"""Where every millisecond of a network goes: modules with arithmetic and speed, then the longest layers."""

from __future__ import annotations

from suite.report.evidence import Evidence
from suite.report.measured import NO_LAYERS, Layers, recorded_layers
from suite.report.models import display_name
from suite.report.numbers import interval_text, milliseconds, ratio
from suite.report.table import Row, Table, TableCell, make_table
from suite.report.tables._parts import closing_notes
from suite.report.timings import short_cpu

LONGEST = 40


def _module_rows(found: Layers) -> list[Row]:
    """Return one row per module, in order of execution."""
    runs, peak = (found.run.run_id,), found.number("product_gmacs_per_s")
    rows: list[Row] = []
    for item in found.modules:
        share = 100 * item.time_ms / found.total_ms
        row: dict[str, TableCell | str] = {
            "model": display_name(found.model),
            "module or layer": item.module,
            "kernel": "",
            "ms": TableCell(milliseconds(item.time_ms), item.time_ms, runs=runs),
            "% of time": TableCell(f"{share:.1f}", share, runs=runs),
            "% so far": "",
        }
        if item.macs:
            speed = item.gmacs_per_s
            row["MACs G"] = TableCell(f"{item.macs / 1e9:.3f}", item.macs / 1e9, runs=runs)
            row["GMAC/s"] = TableCell(f"{speed:.1f}", speed, runs=runs)
            if peak:
                row["% of matrix product"] = TableCell(f"{100 * speed / peak:.0f}", 100 * speed / peak, runs=runs)
        rows.append(row)
    return rows


def _layer_rows(found: Layers) -> list[Row]:
    """Return the `LONGEST` layers, the longest first."""
    rows: list[Row] = []
    runs, so_far = (found.run.run_id,), 0.0
    for node, kernel, time_ms in found.layers[:LONGEST]:
        share = 100 * time_ms / found.total_ms
        so_far += share
        rows.append(
            {
                "model": display_name(found.model),
                "module or layer": node,
                "kernel": kernel,
                "ms": TableCell(milliseconds(time_ms), time_ms, runs=runs),
                "% of time": TableCell(f"{share:.1f}", share, runs=runs),
                "% so far": TableCell(f"{so_far:.1f}", so_far, runs=runs),
            }
        )
    return rows


def summary(evidence: Evidence, found: Layers) -> str:
    """Return one sentence: total time, share of the matrix product's speed, speed-up by export."""
    cpu_ms, peak, macs = (found.number(key) for key in ("cpu_ms", "product_gmacs_per_s", "macs"))
    words = f"{display_name(found.model)} at {found.size} on {short_cpu(found.run.machine.cpu)}"
    words += f": {milliseconds(cpu_ms)} ms CPU"
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
        text = interval_text(cell.value, interval.low, interval.high) if interval else ratio(cell.value)
        words += f"; the graph as torch's exporter leaves it takes {text} times as long"
    kernels = ", ".join(f"{name} {100 * time_ms / found.total_ms:.0f} %" for name, time_ms in found.operators[:5])
    return f"{words}. Longest kernels: {kernels}."


def build(evidence: Evidence) -> Table:
    """Return one row per module of each recorded breakdown and one per long layer."""
    recorded = recorded_layers(evidence)
    rows = [row for found in recorded for row in (*_module_rows(found), *_layer_rows(found))]
    rest = [(found, found.layers[LONGEST:]) for found in recorded if found.layers[LONGEST:]]
    notes = (
        *(summary(evidence, found) for found in recorded),
        *(
            f"{display_name(found.model)} at {found.size}: {len(layers)} further layers take "
            f"{milliseconds(sum(item[2] for item in layers))} ms together."
            for found, layers in rest
        ),
        *(() if recorded else (f"Nothing to show: {NO_LAYERS}.",)),
        "Modules first, then the longest layers: a layer is a node of the engine's own optimised graph, named by the "
        "module and operator it comes from; the record holds all of them.",
        "Times are ONNX Runtime's own, the shortest of several runs for each node, so that other load does not count; "
        "a fused node counts for the module of its last operator, a change of layout for the module before it.",
        "MACs are those of direct convolution; a module computed by Winograd's filtering does fewer and may so pass "
        "100 % of the matrix product.",
    )
    title = "Where a network's time goes: one core, module by module and layer by layer"
    return make_table("breakdown", title, rows, closing_notes(evidence, *notes))

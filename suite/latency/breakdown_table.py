"""A breakdown for a terminal and for a program."""

from __future__ import annotations

import dataclasses
from typing import Any

from suite.latency.breakdown import Breakdown
from suite.records.module_times import by_module

LONGEST_LAYERS = 12


def to_json(found: Breakdown) -> dict[str, Any]:
    """Return everything as plain values, the modules' sums included."""
    modules = by_module([(layer.module, layer.time_ms) for layer in found.layers], found.module_macs)
    return {
        **dataclasses.asdict(found),
        "gmacs_per_s": found.gmacs_per_s,
        "roofline_share": found.roofline_share,
        "modules": [{**dataclasses.asdict(item), "gmacs_per_s": item.gmacs_per_s} for item in modules],
    }


def breakdown_table(found: Breakdown) -> str:
    """Return modules by time, the longest layers, and what the core can do."""
    modules = by_module([(layer.module, layer.time_ms) for layer in found.layers], found.module_macs)
    total = sum(item.time_ms for item in modules)
    width = max([len(item.module) for item in modules] or [len("all layers")])
    lines = [
        f"{found.model} at {found.height_px}x{found.width_px} px, form {found.form}, core {found.core}",
        f"{'module':<{width}}  {'ms':>8}  {'share':>6}  {'GMACs':>7}  {'GMAC/s':>7}",
    ]
    for item in sorted(modules, key=lambda item: -item.time_ms):
        share = f"{item.time_ms / total:.1%}"
        speed = f"{item.gmacs_per_s:.1f}" if item.macs else ""
        lines.append(f"{item.module:<{width}}  {item.time_ms:>8.3f}  {share:>6}  {item.macs / 1e9:>7.3f}  {speed:>7}")
    if found.layers:
        lines += [f"{'all layers':<{width}}  {total:>8.3f}", "", "longest layers"]
        for layer in sorted(found.layers, key=lambda layer: -layer.time_ms)[:LONGEST_LAYERS]:
            lines.append(f"{layer.time_ms:>8.3f} ms  {layer.operator:<14}  {layer.node}")
    else:
        lines.append("layers were not timed: other work on the machine kept interrupting them")
    ratio = found.speedup
    lines += [
        "",
        f"network {found.cpu_ms:.1f} ms CPU (median of {2 * found.rounds}); straightforward graph "
        f"{found.straightforward_cpu_ms:.1f} ms: {ratio.value:.3f} times as long [{ratio.low:.3f}, {ratio.high:.3f}]",
        f"{found.gmacs_per_s:.1f} of {found.product_gmacs_per_s:.1f} GMAC/s of a large matrix product "
        f"({found.roofline_share:.0%}), MACs as computed directly; copy {found.copy_gb_per_s:.1f} GB/s",
        f"{found.done_macs / 1e9:.2f} of {found.macs / 1e9:.2f} GMACs are done "
        f"({found.roofline_share * found.done_macs / found.macs:.0%} of the product's speed), transforms included",
    ]
    if found.layers:
        runs = found.profiled_runs
        lines.append(f"layers: shortest wall time of {runs} runs each, so they add up to less than a disturbed run")
    return "\n".join(lines)

"""One network looked at closely: its speed-up by export, its share of the core's peak, its time by module and layer."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from suite.errors import NothingMeasuredError
from suite.export.counts import count_graph
from suite.export.runtime import cpu_session, graph_form
from suite.latency.child import idlest_core, pin_to
from suite.latency.device import load_device
from suite.latency.layer_times import LayerTime, steady_layers
from suite.latency.prepare import prepare_model
from suite.latency.report import INTERVAL_COVERS
from suite.latency.spans import build_candidates
from suite.latency.timer import Candidate, time_candidates
from suite.latency.timing import Labels
from suite.progress import say
from suite.records.difference import RatioInterval, ratio_of_medians
from suite.records.module_times import ModuleTime, by_module
from suite.records.schema import Interval, Measurement, Scalar, Series, Subject
from suite.seeds import derive_seed
from suite.text_table import TextColumn, text_table

RUNTIME = "onnxruntime_cpu"
STRAIGHTFORWARD = "straightforward"
LAYER_COLUMNS = ["module", "operator", "node", "time_ms"]
LONGEST_LAYERS = 12
PRODUCT_SIDE, CHANNELS, MAP_SIDE = 2048, 256, 96


@dataclass(frozen=True)
class Breakdown:
    """What was found out about one network on this host.

    Attributes:
        model: its name.
        height_px: input height.
        width_px: input width.
        form: form of the graph looked at (`suite.export.rewriting`).
        core: the core everything ran on.
        rounds: interleaved rounds of all candidates.
        cpu_ms: median CPU time of the network.
        straightforward_cpu_ms: of the graph as torch's exporter leaves it.
        speedup: the second over the first.
        reference: the fastest operator of `reference_candidates`, in the same rounds.
        reference_gmacs_per_s: its speed.
        macs: of the network, computed directly.
        done_macs: of the graph as exported, where Winograd's filtering does fewer, transforms included.
        dense3x3_macs: those of dense 3x3 convolutions among them.
        module_macs: module to MACs, submodules included.
        layers: nodes with their times; empty where they were not timed.
        profiled_runs: runs behind the layers' times, of all tries; 0 where they were not timed.
    """

    model: str
    height_px: int
    width_px: int
    form: str
    core: int
    rounds: int
    cpu_ms: float
    straightforward_cpu_ms: float
    speedup: RatioInterval
    reference: str
    reference_gmacs_per_s: float
    macs: int
    done_macs: int
    dense3x3_macs: int
    module_macs: dict[str, int]
    layers: tuple[LayerTime, ...]
    profiled_runs: int

    @property
    def gmacs_per_s(self) -> float:
        """Direct MACs over CPU time; Winograd's filtering does fewer, so this may pass the peak."""
        return self.macs / self.cpu_ms / 1e6

    @property
    def roofline_share(self) -> float:
        """`gmacs_per_s` over the reference's."""
        return self.gmacs_per_s / self.reference_gmacs_per_s

    @functools.cached_property
    def modules(self) -> list[ModuleTime]:
        """Times and MACs of the layers, added up by module."""
        return by_module([(layer.module, layer.time_ms) for layer in self.layers], self.module_macs)


@contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Pin this process for a while."""
    before = os.sched_getaffinity(0)
    pin_to(core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _reference(name: str, node: NodeProto, shape: list[int], weights: np.ndarray) -> Candidate:
    """Return one operator (x, weights) -> y on one thread of ONNX Runtime, as something to be timed."""
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape) for value in ("x", "y")]
    graph = helper.make_graph([node], "graph", values[:1], values[1:], [numpy_helper.from_array(weights, "weights")])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = cpu_session(proto.SerializeToString())
    base = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)

    def fresh(index: int) -> np.ndarray:
        base.flat[0] = index
        return base

    labels = Labels(name, "network", "onnxruntime", "fp32", shape[-2], shape[-1])
    return Candidate(labels, lambda x: session.run(None, {"x": x}), fresh)


def reference_candidates() -> list[tuple[Candidate, int]]:
    """Return a large matrix product and a 3x3 convolution, each with its MACs: the faster shows what the core can do.

    On AVX2 cores the product stays at two thirds of what the convolution reaches.
    """
    generator = np.random.default_rng(1)
    product = helper.make_node("MatMul", ["x", "weights"], ["y"])
    convolution = helper.make_node("Conv", ["x", "weights"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    square, kernels = (PRODUCT_SIDE, PRODUCT_SIDE), (CHANNELS, CHANNELS, 3, 3)
    shape = [1, CHANNELS, MAP_SIDE, MAP_SIDE]
    weights = [generator.standard_normal(sides, dtype=np.float32) for sides in (square, kernels)]
    return [
        (_reference("large matrix product", product, list(square), weights[0]), PRODUCT_SIDE**3),
        (_reference("3x3 convolution", convolution, shape, weights[1]), MAP_SIDE**2 * weights[1].size),
    ]


def measure_breakdown(
    name: str,
    size: tuple[int, int] | None = None,
    rounds: int = 10,
    core: int | None = None,
    seed: int = 0,
) -> Breakdown:
    """Time a network's best and straightforward graphs and the references together, then profile its layers.

    Args:
        name: a model of ``suite/models``.
        size: (height_px, width_px); the model's primary size if None.
        rounds: interleaved rounds, at least 2, and runs of one try under the profiler.
        core: the core to pin to; the idlest one if None.
        seed: of the random weights.

    Returns:
        What was found out; without layers, after a message, where other load kept them from being timed.

    Raises:
        InputError: if the model or core is unknown, or the model cannot be exported.
    """
    from suite.export.counts import count_modules, split_macs
    from suite.models import get_entry

    models = [
        dataclasses.replace(prepare_model(name, size=size, seed=seed, runtime=RUNTIME, form=form), name=form)
        for form in (graph_form(RUNTIME), STRAIGHTFORWARD)
    ]
    graph = models[0].graphs["whole"].path
    protocol = load_device("host").protocol().with_samples(2 * rounds)
    chosen = idlest_core() if core is None else core
    with _on_core(chosen):
        candidates = [one for model in models for one in build_candidates(model, protocol)]
        references = reference_candidates()
        timings, _ = time_candidates([*candidates, *(one for one, _ in references)], protocol)
        own, plain = timings[:2]
        layers: list[LayerTime] = []
        profiled_runs = 0
        try:
            inputs = {"image": candidates[0].fresh_input(0)}
            layers, profiled_runs = steady_layers(graph, inputs, rounds, own.cpu_median_ms)
        except NothingMeasuredError as error:
            say(str(error))
    height_px, width_px = own.labels.height_px, own.labels.width_px
    seed_of_interval = derive_seed(0, f"latency/breakdown/{name}")
    level, resamples = protocol.interval_level, protocol.bootstrap_resamples
    model = get_entry(name).build(seed)
    split = split_macs(model, height_px, width_px)
    speed, reference = max(
        (macs / timing.cpu_median_ms / 1e6, timing.labels.model)
        for (_, macs), timing in zip(references, timings[2:], strict=True)
    )
    return Breakdown(
        model=name,
        height_px=height_px,
        width_px=width_px,
        form=graph_form(RUNTIME),
        core=chosen,
        rounds=len(own.rounds),
        cpu_ms=own.cpu_median_ms,
        straightforward_cpu_ms=plain.cpu_median_ms,
        speedup=ratio_of_medians(plain.cpu_ms, own.cpu_ms, level, resamples, seed_of_interval),
        reference=reference,
        reference_gmacs_per_s=speed,
        macs=sum(split),
        done_macs=count_graph(graph).macs,
        dense3x3_macs=split.dense3x3,
        module_macs=count_modules(model, height_px, width_px),
        layers=tuple(layers),
        profiled_runs=profiled_runs,
    )


def record_lines(found: Breakdown) -> list[Measurement | Series]:
    """Turn a breakdown into record lines: numbers, the modules' MACs, and the layers' times where they were taken."""
    size: dict[str, Scalar] = {"height_px": found.height_px, "width_px": found.width_px}
    protocol: dict[str, Scalar] = {**size, "runtime": "onnxruntime", "threads": 1, "precision": "fp32"}
    protocol |= {"device": "host", "form": found.form}
    compared = protocol | {"reference": found.reference}
    subject = Subject(found.model)
    ratio = found.speedup
    interval = Interval(ratio.low, ratio.high, ratio.level, INTERVAL_COVERS, ratio.resamples)
    layers: list[list[Scalar]] = [
        [layer.module, layer.operator, layer.node, round(layer.time_ms, 6)] for layer in found.layers
    ]
    modules: list[list[Scalar]] = [[module, macs] for module, macs in found.module_macs.items()]
    series = {**protocol, "runs": found.profiled_runs, "cpu_ms": round(found.cpu_ms, 6), "macs": found.macs}
    series |= {"done_macs": found.done_macs}
    # The name of the number is that of older records, whose only reference was the product.
    series |= {"product_gmacs_per_s": round(found.reference_gmacs_per_s, 3), "reference": found.reference}
    lines: list[Measurement | Series] = [
        Measurement("export_speedup", ratio.value, subject, protocol, interval=interval),
        Measurement("roofline_share", found.roofline_share, subject, compared),
        Measurement("product_gmacs_per_s", found.reference_gmacs_per_s, subject, compared),
        Measurement("macs_dense3x3", found.dense3x3_macs, subject, size),
        Series("module_macs", subject, ["module", "macs"], modules, size),
    ]
    if found.layers:
        lines.append(Series("latency_layers", subject, list(LAYER_COLUMNS), layers, series))
    return lines


def to_json(found: Breakdown) -> dict[str, Any]:
    """Return everything as plain values, the modules' sums included."""
    return {
        **dataclasses.asdict(found),
        "gmacs_per_s": found.gmacs_per_s,
        "roofline_share": found.roofline_share,
        "modules": [{**dataclasses.asdict(item), "gmacs_per_s": item.gmacs_per_s} for item in found.modules],
    }


def breakdown_table(found: Breakdown) -> str:
    """Return modules by time, the longest layers, and what the core can do."""
    total = sum(item.time_ms for item in found.modules)
    rows = [
        (
            item.module,
            f"{item.time_ms:.3f}",
            f"{item.time_ms / total:.1%}",
            f"{item.macs / 1e9:.3f}",
            f"{item.gmacs_per_s:.1f}" if item.macs else "",
        )
        for item in sorted(found.modules, key=lambda item: -item.time_ms)
    ]
    numbers = [TextColumn(title, number=True) for title in ("ms", "share", "GMACs", "GMAC/s")]
    lines = [f"{found.model} at {found.height_px}x{found.width_px} px, form {found.form}, core {found.core}"]
    if found.layers:
        lines += text_table([TextColumn("module"), *numbers], [*rows, ("all layers", f"{total:.3f}", "", "", "")])
        longest = sorted(found.layers, key=lambda layer: -layer.time_ms)[:LONGEST_LAYERS]
        layers = [(f"{layer.time_ms:.3f}", layer.operator, layer.node) for layer in longest]
        lines += ["", *text_table([TextColumn("ms", number=True), TextColumn("operator"), TextColumn("layer")], layers)]
    else:
        lines.append("layers were not timed: other work on the machine kept interrupting them")
    ratio = found.speedup
    lines += [
        "",
        f"network {found.cpu_ms:.1f} ms CPU (median of {2 * found.rounds}); straightforward graph "
        f"{found.straightforward_cpu_ms:.1f} ms: {ratio.value:.3f} times as long [{ratio.low:.3f}, {ratio.high:.3f}]",
        f"{found.gmacs_per_s:.1f} of {found.reference_gmacs_per_s:.1f} GMAC/s of a {found.reference} "
        f"({found.roofline_share:.0%}), MACs as computed directly",
        f"{found.done_macs / 1e9:.2f} of {found.macs / 1e9:.2f} GMACs are done "
        f"({found.roofline_share * found.done_macs / found.macs:.0%} of its speed), transforms included",
    ]
    if found.layers:
        runs = found.profiled_runs
        lines.append(f"layers: shortest wall time of {runs} runs each, so they add up to less than a disturbed run")
    return "\n".join(lines)

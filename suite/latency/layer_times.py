"""Where a network's time goes, node by node, from ONNX Runtime's own profiler, led back to modules by name."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from suite.errors import NothingMeasuredError
from suite.export.artifact import read_graph
from suite.export.rewriting import module_of
from suite.export.runtime import cpu_session

KERNEL_EVENT = "_kernel_time"
INNER_SUFFIX = "_nchwc"
TRIES = 6
STEADY, DISTURBED = 1.05, 1.25
UNKNOWN_MODULE = "engine"
"""Module of what the engine adds without a neighbour of known module."""


@dataclass(frozen=True)
class LayerTime:
    """One node of the engine's optimised graph.

    Attributes:
        node: its name.
        operator: the engine's kernel, e.g. ``Conv`` or ``ReorderInput``.
        module: the reference model's module, e.g. ``mask_decoder.first3``.
        time_ms: shortest wall time of all runs, which other load cannot lengthen.
    """

    node: str
    operator: str
    module: str
    time_ms: float


def node_modules(exported: onnx.GraphProto, optimised: onnx.GraphProto) -> dict[str, str]:
    """Return the module of every node that the engine made of an exported graph.

    A fused node carries its last output's name; a change of layout, which has none of its own, belongs to the module
    whose output it turns, otherwise to the one that reads it. Constants tell nothing: modules may share them.
    """
    # By values: outputs of the graph keep plain names, their nodes not.
    known = {value: module_of(node.name) for node in exported.node for value in node.output if value}
    paths = set(known.values())
    constants = {item.name for item in optimised.initializer}

    def of_name(name: str) -> str:
        plain = name.removesuffix(INNER_SUFFIX)
        module = known.get(plain) or module_of(plain)
        return module if module in paths else ""

    found: dict[str, str] = {}
    for node in optimised.node:
        names = [node.name, *node.output, *(value for value in node.input if value not in constants)]
        module = next((module for module in map(of_name, names) if module), "")
        for value in node.output:
            known.setdefault(value, module)
        found[node.name] = module
    for node in reversed(optimised.node):
        if not found[node.name]:
            readers = [found[other.name] for other in optimised.node if set(node.output) & set(other.input)]
            found[node.name] = next((name for name in readers if name), UNKNOWN_MODULE)
    return found


def steady_layers(
    graph: Path, inputs: Mapping[str, np.ndarray], runs: int, cpu_ms: float
) -> tuple[list[LayerTime], int]:
    """Profile a graph until its layers add up to ``cpu_ms``, what the whole network takes.

    Layers are timed by the clock on the wall, which other load on the core lengthens; long layers need several tries
    to get through without being interrupted once.

    Args:
        graph: an ONNX file whose nodes are named by module.
        inputs: by name.
        runs: of one try; up to `TRIES` tries are made.
        cpu_ms: the network's own median CPU time.

    Returns:
        Every node with its shortest time, and the runs of all tries that it is the shortest of.

    Raises:
        NothingMeasuredError: if the layers' shortest times still add up to more than `DISTURBED` times ``cpu_ms``.
    """
    best: dict[str, LayerTime] = {}
    for number in range(1, TRIES + 1):
        for layer in profile_layers(graph, inputs, runs):
            best[layer.node] = min(best.get(layer.node, layer), layer, key=lambda one: one.time_ms)
        total_ms = sum(layer.time_ms for layer in best.values())
        if total_ms <= STEADY * cpu_ms:
            return list(best.values()), number * runs
    if total_ms > DISTURBED * cpu_ms:
        raise NothingMeasuredError(
            f"{graph.name}: layers take {total_ms:.0f} ms together, the network {cpu_ms:.0f} ms of CPU time; "
            "stop other work on the machine and run again"
        )
    return list(best.values()), TRIES * runs


def profile_layers(graph: Path, inputs: Mapping[str, np.ndarray], runs: int) -> list[LayerTime]:
    """Run a graph under the profiler, one thread, all optimisations; arguments as for `steady_layers`.

    Returns:
        Every node that took time, with its shortest, in order of execution.
    """
    with tempfile.TemporaryDirectory() as folder:
        session = cpu_session(
            graph,
            enable_profiling=True,
            profile_file_prefix=str(Path(folder) / "profile"),
            optimized_model_filepath=str(Path(folder) / "optimised.onnx"),
        )
        for _ in range(runs):
            session.run(None, dict(inputs))
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
        modules = node_modules(read_graph(graph).graph, read_graph(Path(folder) / "optimised.onnx").graph)
    shortest: dict[str, LayerTime] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL_EVENT):
            name = event["name"].removesuffix(KERNEL_EVENT)
            layer = LayerTime(name, event["args"]["op_name"], modules.get(name) or UNKNOWN_MODULE, event["dur"] / 1000)
            shortest[name] = min(shortest.get(name, layer), layer, key=lambda one: one.time_ms)
    return list(shortest.values())

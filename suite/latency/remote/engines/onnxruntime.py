"""ONNX Runtime on a device: takes the exported graph as it is, and writes what it made of it, to be inspected here."""

from __future__ import annotations

from pathlib import Path

from suite.export.artifact import external_files, graph_problems, read_graph
from suite.latency.remote.engine import Engine, GraphOnDevice
from suite.latency.validity import Problem


def _describe(graph: Path) -> GraphOnDevice:
    model = read_graph(graph)
    return GraphOnDevice(
        files=(graph, *(graph.parent / name for name in external_files(model))),
        inputs=tuple(value.name for value in model.graph.input),
        outputs=tuple(value.name for value in model.graph.output),
    )


def _inspect(optimised: Path) -> list[Problem]:
    details = graph_problems(read_graph(optimised), "graph optimised on the device")
    return [Problem("precision_not_fp32", detail) for detail in details]


ENGINE = Engine(
    name="onnxruntime",
    host_runtime="onnxruntime_cpu",
    flags={
        "threads": "1",
        "interface": "fp32",
        "bfloat16_products": "off",
        "spinning": "off",
        "provider": "CPUExecutionProvider",
    },
    describe=_describe,
    inspect=_inspect,
)

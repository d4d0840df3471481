"""ncnn on a device: takes the files that pnnx converts on this machine; its names are positions."""

from __future__ import annotations

from pathlib import Path

from suite.export.artifact import read_graph
from suite.export.runtimes.ncnn_cpu import convert
from suite.latency.remote.engine import Engine, GraphOnDevice


def describe(graph: Path) -> GraphOnDevice:
    """Return ncnn's files of an exported graph, converted where that was not done yet.

    Raises:
        InputError: if it cannot be converted.
    """
    model = read_graph(graph)
    return GraphOnDevice(
        files=convert(graph),
        inputs=tuple(f"in{number}" for number in range(len(model.graph.input))),
        outputs=tuple(f"out{number}" for number in range(len(model.graph.output))),
    )


ENGINE = Engine(
    name="ncnn",
    host_runtime="ncnn_cpu",
    flags={
        "threads": "1",
        "vulkan": "off",
        "fp16_packed": "off",
        "fp16_storage": "off",
        "fp16_arithmetic": "off",
        "bf16_storage": "off",
        "int8_inference": "off",
    },
    describe=describe,
)

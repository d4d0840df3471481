"""Layers and modules: what the profiler says goes to the module whose node it was, and adds up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

from suite.commands.latency import command
from suite.errors import NothingMeasuredError
from suite.latency import layer_times
from suite.latency.layer_times import UNKNOWN_MODULE, LayerTime, profile_layers, steady_layers
from tests.suite.conftest import graph as graph_of


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Two convolutions of two modules with a pooling of neither's name between them; the output has a plain name."""
    generator = np.random.default_rng(0)
    weights = {name: generator.standard_normal((32, 32, 3, 3), dtype=np.float32) for name in ("w0", "w1")}
    options: dict[str, Any] = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "w0"], ["first.conv/a"], name="first.conv/a", **options),
        helper.make_node("Relu", ["first.conv/a"], ["first.act/b"], name="first.act/b"),
        helper.make_node("MaxPool", ["first.act/b"], ["pool/c"], name="pool/c", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pool/c", "w1"], ["features"], name="second/features", **options),
    ]
    path = tmp_path / "graph.onnx"
    onnx.save(graph_of(nodes, {"image": [1, 32, 32, 32], "features": [1, 32, 16, 16]}, weights), path)
    return path


def image() -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(1).standard_normal((1, 32, 32, 32), dtype=np.float32)}


def test_every_layer_belongs_to_a_module(graph: Path) -> None:
    layers = profile_layers(graph, image(), runs=3)
    assert all(layer.time_ms >= 0 for layer in layers)
    assert {layer.module for layer in layers} == {"first.act", "pool", "second"}, "the sum takes its last node's name"
    assert [layer.module for layer in layers if layer.operator == "Conv"] == ["first.act", "second"]
    assert UNKNOWN_MODULE not in {layer.module for layer in layers}


def test_disturbed_layers_are_not_returned(graph: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def slow(*arguments: object) -> list[LayerTime]:
        tries.append(arguments)
        return [LayerTime("a", "Conv", "first", 8.0), LayerTime("b", "Conv", "second", 12.0 - len(tries))]

    monkeypatch.setattr(layer_times, "profile_layers", slow)
    with pytest.raises(NothingMeasuredError, match="14 ms"):
        steady_layers(graph, image(), 3, cpu_ms=10.0)
    assert len(tries) == layer_times.TRIES
    tries.clear()
    layers, runs = steady_layers(graph, image(), 3, cpu_ms=18.0)
    assert [layer.time_ms for layer in layers] == [8.0, 10.0]
    assert len(tries) == 2, "stops as soon as the layers add up"
    assert runs == 2 * 3, "each try adds its own"


@pytest.mark.slow  # exports two graphs
def test_breakdown_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_times, "DISTURBED", 100.0)
    words = ["breakdown", "--model", "mobileinst_topformer_tiny_shapes", "--rounds", "10", "--json"]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["macs"] == sum(item["macs"] for item in found["modules"])
    assert found["form"] == "onnxruntime"
    assert {"backbone.pyramid", "mask_decoder.first3", "mask_product"} <= {item["module"] for item in found["modules"]}
    assert found["speedup"]["low"] <= found["speedup"]["value"] <= found["speedup"]["high"]

"""Which form of an operator ONNX Runtime runs fastest: the ratios of docs/prior_art.md, in interleaved rounds.

Run from the repository: ``python -m tests.benchmarks.operator_forms``. Every form of a case must give the same numbers;
the first form is the unit. One thread, CPU time, medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]
CHANNELS, GROUPS, HEIGHT, WIDTH = 256, 32, 100, 168
INSTANCES, MASK_HEIGHT, MASK_WIDTH = 100, 80, 108
EPSILON = 1e-5
TOLERANCE = 1e-3


class Graph:
    """A graph under construction: ``add`` appends a node and returns the name of its first output."""

    def __init__(self, opset: int = 18) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str | Array, **options: Any) -> str:
        names = [value if isinstance(value, str) else self.constant(value) for value in inputs]
        output = f"value{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, names, [output], **options))
        return output

    def session(self, output: str, inputs: dict[str, Array]) -> onnxruntime.InferenceSession:
        values = [helper.make_tensor_value_info(name, 1, value.shape) for name, value in inputs.items()]
        graph = helper.make_graph(
            self.nodes, "form", values, [helper.make_tensor_value_info(output, 1, None)], self.constants
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


Form = Callable[[Graph], str]


def integers(*values: int) -> Array:
    return np.array(values, np.int64)


def draws(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


SCALE, SHIFT = 1 + 0.2 * draws(1, CHANNELS), draws(2, CHANNELS)


def normalised_groups(graph: Graph, value: str) -> str:
    """Normalise the groups alone: each is one channel of an instance normalisation."""
    rows = graph.add("Reshape", value, integers(1, GROUPS, -1))
    ones, zeros = np.ones(GROUPS, np.float32), np.zeros(GROUPS, np.float32)
    rows = graph.add("InstanceNormalization", rows, ones, zeros, epsilon=EPSILON)
    return graph.add("Reshape", rows, integers(1, CHANNELS, HEIGHT, WIDTH))


def instance_norm(graph: Graph, value: str) -> str:
    scaled = graph.add("Mul", normalised_groups(graph, value), SCALE.reshape(1, -1, 1, 1))
    return graph.add("Add", scaled, SHIFT.reshape(1, -1, 1, 1))


def depthwise_affine(graph: Graph, value: str) -> str:
    return graph.add(
        "Conv", normalised_groups(graph, value), SCALE.reshape(-1, 1, 1, 1), SHIFT, group=CHANNELS, kernel_shape=[1, 1]
    )


def layer_norm(graph: Graph, value: str) -> str:
    rows = graph.add("Reshape", value, integers(GROUPS, -1))
    size = CHANNELS // GROUPS * HEIGHT * WIDTH
    rows = graph.add("LayerNormalization", rows, np.ones(size, np.float32), axis=-1, epsilon=EPSILON)
    maps = graph.add("Reshape", rows, integers(1, CHANNELS, HEIGHT, WIDTH))
    return graph.add("Add", graph.add("Mul", maps, SCALE.reshape(1, -1, 1, 1)), SHIFT.reshape(1, -1, 1, 1))


def group_norm_operator(graph: Graph, value: str) -> str:
    graph.opset = 21
    return graph.add("GroupNormalization", value, SCALE, SHIFT, num_groups=GROUPS, epsilon=EPSILON)


def tower(normalise: Callable[[Graph, str], str]) -> Form:
    """Return three times convolution, normalisation and ReLU."""

    def build(graph: Graph) -> str:
        value = "x"
        for layer in range(3):
            weights = draws(3 + layer, CHANNELS, CHANNELS, 3, 3) / np.float32(np.sqrt(9 * CHANNELS))
            value = graph.add("Conv", value, weights, pads=[1] * 4, kernel_shape=[3, 3])
            value = graph.add("Relu", normalise(graph, value))
        return value

    return build


def aligned_by_resizing(graph: Graph) -> str:
    padded = graph.add("Pad", "x", integers(0, 0, 0, 0, 0, 0, 1, 1), mode="edge")
    size = integers(1, INSTANCES, 2 * MASK_HEIGHT + 1, 2 * MASK_WIDTH + 1)
    enlarged = graph.add("Resize", padded, "", "", size, mode="linear", coordinate_transformation_mode="align_corners")
    shifted = graph.add("Pad", enlarged, integers(0, 0, 1, 1, 0, 0, 0, 0), mode="edge")
    return graph.add("Slice", shifted, integers(0, 0), integers(2 * MASK_HEIGHT, 2 * MASK_WIDTH), integers(2, 3))


def repeated(graph: Graph) -> str:
    scales = np.array([1, 1, 2, 2], np.float32)
    return graph.add(
        "Resize", "x", "", scales, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )


def aligned_by_averaging(graph: Graph) -> str:
    mean = graph.add("AveragePool", repeated(graph), kernel_shape=[2, 2], pads=[1] * 4, count_include_pad=0)
    return graph.add("Slice", mean, integers(0, 0), integers(2 * MASK_HEIGHT, 2 * MASK_WIDTH), integers(2, 3))


def aligned_by_uneven_padding(graph: Graph) -> str:
    return graph.add("AveragePool", repeated(graph), kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=0)


def aligned_by_matrices(graph: Graph) -> str:
    def matrix(cells: int) -> Array:
        positions = np.clip((np.arange(2 * cells) - 1) / 2, 0, cells - 1)
        return np.stack([np.interp(positions, np.arange(cells), row) for row in np.eye(cells)], 1).astype(np.float32)

    return graph.add("MatMul", matrix(MASK_HEIGHT), graph.add("MatMul", "x", matrix(MASK_WIDTH).T))


def mask_head_inputs() -> dict[str, Array]:
    """Return maps and weights of all mask heads, the first layer also as one matrix (see `dynamic_masks`)."""
    first, centres = draws(1, INSTANCES, 8, 10), 400 + 100 * draws(2, INSTANCES, 2)
    features = draws(3, 1, 8, MASK_HEIGHT, MASK_WIDTH)
    rows, columns = np.mgrid[:MASK_HEIGHT, :MASK_WIDTH].astype(np.float32) * 8 + 4
    pixels = np.stack([columns, rows])
    of_pixels = first[:, :, :2] / 64
    offset = np.einsum("noc,nc->no", of_pixels, centres)
    matrix = np.concatenate([first[:, :, 2:], -of_pixels, offset[:, :, None]], axis=2)
    ones = np.ones((1, MASK_HEIGHT, MASK_WIDTH), np.float32)
    return {
        "features": features,
        "relative": ((centres[:, :, None, None] - pixels) / 64).astype(np.float32),
        "first": first.reshape(-1, 10, 1, 1),
        "matrix": matrix.reshape(-1, 11).astype(np.float32),
        "basis": np.concatenate([features[0], pixels, ones]).reshape(11, -1),
        "second": draws(4, INSTANCES, 8, 8),
        "second_bias": draws(5, INSTANCES, 8, 1),
        "third": draws(6, INSTANCES, 1, 8),
        "third_bias": draws(7, INSTANCES, 1, 1),
    }


def last_layers_grouped(graph: Graph, hidden: str) -> str:
    shapes = {"second": (-1, 8, 1, 1), "third": (-1, 8, 1, 1), "second_bias": (-1,), "third_bias": (-1,)}
    layer = {name: graph.add("Reshape", name, integers(*shape)) for name, shape in shapes.items()}
    hidden = graph.add("Conv", hidden, layer["second"], layer["second_bias"], group=INSTANCES)
    masks = graph.add("Conv", graph.add("Relu", hidden), layer["third"], layer["third_bias"], group=INSTANCES)
    return graph.add("Reshape", masks, integers(INSTANCES, 1, -1))


def heads_by_grouped_convolutions(graph: Graph) -> str:
    repeated_maps = graph.add("Expand", "features", integers(INSTANCES, 8, MASK_HEIGHT, MASK_WIDTH))
    maps = graph.add("Concat", "relative", repeated_maps, axis=1)
    maps = graph.add("Reshape", maps, integers(1, INSTANCES * 10, MASK_HEIGHT, MASK_WIDTH))
    return last_layers_grouped(graph, graph.add("Relu", graph.add("Conv", maps, "first", group=INSTANCES)))


def heads_by_one_product(graph: Graph) -> str:
    hidden = graph.add("Relu", graph.add("MatMul", "matrix", "basis"))
    return last_layers_grouped(graph, graph.add("Reshape", hidden, integers(1, -1, MASK_HEIGHT, MASK_WIDTH)))


def heads_by_batched_products(graph: Graph) -> str:
    hidden = graph.add("Relu", graph.add("MatMul", "matrix", "basis"))
    hidden = graph.add("MatMul", "second", graph.add("Reshape", hidden, integers(INSTANCES, 8, -1)))
    hidden = graph.add("Relu", graph.add("Add", hidden, "second_bias"))
    return graph.add("Add", graph.add("MatMul", "third", hidden), "third_bias")


Case = tuple[dict[str, Array], dict[str, Form]]
CASES: dict[str, Case] = {
    "tower with group normalisation": (
        {"x": draws(0, 1, CHANNELS, HEIGHT, WIDTH)},
        {
            "instance normalisation of reshaped groups": tower(instance_norm),
            "scale, shift and ReLU as a depthwise convolution": tower(depthwise_affine),
            "layer normalisation of groups": tower(layer_norm),
            "GroupNormalization of opset 21": tower(group_norm_operator),
        },
    ),
    "mask heads of 100 instances": (
        mask_head_inputs(),
        {
            "three grouped convolutions": heads_by_grouped_convolutions,
            "one product, then two grouped convolutions": heads_by_one_product,
            "one product, then batched products": heads_by_batched_products,
        },
    ),
    "aligned enlargement of 100 masks": (
        {"x": draws(0, 1, INSTANCES, MASK_HEIGHT, MASK_WIDTH)},
        {
            "pad, resize, pad, cut": aligned_by_resizing,
            "repeat, average, cut": aligned_by_averaging,
            "repeat, average with uneven padding": aligned_by_uneven_padding,
            "two constant matrices": aligned_by_matrices,
        },
    ),
}


def main() -> None:
    """Time all forms of all cases and print their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    for title, (inputs, forms) in CASES.items():
        sessions, feeds = {}, {}
        for name, build in forms.items():
            graph = Graph()
            output = build(graph)
            read = {value for node in graph.nodes for value in node.input}
            feeds[name] = {key: value for key, value in inputs.items() if key in read}
            sessions[name] = graph.session(output, feeds[name])
        first = next(iter(sessions))
        reference = sessions[first].run(None, feeds[first])[0]
        times: dict[str, list[float]] = {name: [] for name in sessions}
        for _ in range(rounds):
            for name, session in sessions.items():
                start = time.process_time()
                found = session.run(None, feeds[name])[0]
                times[name].append(time.process_time() - start)
                assert np.abs(found - reference).max() <= TOLERANCE * np.abs(reference).max(), name
        unit = np.median(times[first])
        print(title)
        for name, seconds in times.items():
            print(f"  {np.median(seconds) / unit:5.2f}  {np.median(seconds) * 1e3:7.1f} ms  {name}")


if __name__ == "__main__":
    main()

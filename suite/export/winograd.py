"""3x3 convolutions as Winograd's minimal filtering, written with standard operators.

ONNX Runtime computes a 3x3 convolution directly. Mobile engines (TNN, ncnn) compute F(4x4, 3x3) of Lavin and Gray,
"Fast Algorithms for Convolutional Neural Networks", CVPR 2016: 36 products where 144 are needed directly, for a tile of
4x4 outputs. The same can be said in a graph: gather the 6x6 pixels under each tile, one constant matrix for the input
transform, 36 matrix products over channels, one constant matrix for the output transform. Channels lie innermost, so
that every gather copies whole rows. The arithmetic stays fp32; results differ in the last digits (about 1e-5 of the
largest output).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from suite.export.graph_editor import GraphEditor, NodeMaker, attributes

TILE = 4
PATCH = 6
MIN_CHANNELS = 64
MIN_PIXELS = 256
"""Below these the transforms cost more than the products they save (measured with ONNX Runtime on one AVX-512 core)."""

INPUT_TRANSFORM = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
)
"""B^T for the points 0, 1, -1, 2, -2 and infinity."""
KERNEL_TRANSFORM = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    np.float64,
)
"""G."""
OUTPUT_TRANSFORM = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float64
)
"""A^T."""


def transformed_kernels(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return 3x3 kernels (out, in, 3, 3) in Winograd's domain, (36, in, out)."""
    out_channels, in_channels = weights.shape[:2]
    moved = np.einsum("ia,ocab,jb->ijco", KERNEL_TRANSFORM, weights.astype(np.float64), KERNEL_TRANSFORM)
    return np.asarray(moved.reshape(PATCH * PATCH, in_channels, out_channels), np.float32)


def patch_rows(height: int, width: int) -> NDArray[np.int64]:
    """Return the pixel (row by row) that each of 36 patch places of each tile reads; outside is ``height * width``."""
    rows = TILE * np.arange(-(-height // TILE))[:, None] + np.arange(PATCH) - 1  # (tile rows, 6)
    columns = TILE * np.arange(-(-width // TILE))[:, None] + np.arange(PATCH) - 1
    pixel = rows.T[:, None, :, None] * width + columns.T[None, :, None, :]  # (6, 6, tile rows, tile columns)
    inside = ((rows >= 0) & (rows < height)).T[:, None, :, None] & ((columns >= 0) & (columns < width)).T[None, :, None]
    return np.where(inside, pixel, height * width).reshape(-1)


def tile_rows(height: int, width: int) -> NDArray[np.int64]:
    """Return, for each pixel row by row, where it lies in the output of all tiles, (16, tiles) flattened."""
    columns_of_tiles = -(-width // TILE)
    tiles = -(-height // TILE) * columns_of_tiles
    y, x = np.mgrid[:height, :width]
    place = (y % TILE) * TILE + x % TILE
    return np.asarray(place * tiles + (y // TILE) * columns_of_tiles + x // TILE, np.int64).reshape(-1)


def _fits(node: onnx.NodeProto, editor: GraphEditor) -> bool:
    """Tell whether a node is a 3x3 convolution of stride 1 that is large enough to gain."""
    if node.op_type != "Conv":
        return False
    options = attributes(node)
    weights, shape = editor.constant(node.input[1]), editor.shape(node.input[0])
    if weights is None or weights.shape[2:] != (3, 3) or shape is None or shape[0] != 1:
        return False
    plain = (
        options.get("group", 1) == 1
        and list(options.get("strides", [1, 1])) == [1, 1]
        and list(options.get("dilations", [1, 1])) == [1, 1]
        and list(options.get("pads", [0] * 4)) == [1] * 4
        and options.get("auto_pad", b"NOTSET") in (b"NOTSET", "NOTSET")
    )
    return plain and min(weights.shape[:2]) >= MIN_CHANNELS and shape[2] * shape[3] >= MIN_PIXELS


def _replacement(node: onnx.NodeProto, relu: onnx.NodeProto | None, editor: GraphEditor) -> list[onnx.NodeProto]:
    weights = editor.constant(node.input[1])
    shape = editor.shape(node.input[0])
    assert weights is not None
    assert shape is not None
    height, width = shape[2:]
    tiles = -(-height // TILE) * -(-width // TILE)
    out_channels, in_channels = weights.shape[:2]
    size = f"{height}x{width}"
    make = NodeMaker(node.name)

    def ints(name: str, *values: int) -> str:
        return editor.add_constant(f"winograd.{name}", np.array(values, np.int64))

    pixels = make("Transpose", [node.input[0]], "pixels", perm=[0, 2, 3, 1])
    rows = make("Reshape", [pixels, ints(f"rows.{size}.{in_channels}", height * width, in_channels)], "rows")
    outside = editor.add_constant(f"winograd.outside.{in_channels}", np.zeros((1, in_channels), np.float32))
    padded = make("Concat", [rows, outside], "padded", axis=0)
    read = editor.add_constant(f"winograd.patches.{size}", patch_rows(height, width).astype(np.int32))
    patches = make("Gather", [padded, read], "patches", axis=0)
    flat = make("Reshape", [patches, ints(f"flat.{in_channels * tiles}", 36, tiles * in_channels)], "flat")
    into = np.kron(INPUT_TRANSFORM, INPUT_TRANSFORM).astype(np.float32)
    moved = make("MatMul", [editor.add_constant("winograd.input", into), flat], "input")
    cube = make("Reshape", [moved, ints(f"cube.{size}.{in_channels}", 36, tiles, in_channels)], "cube")
    kernels = editor.add_constant(f"{node.input[1]}.winograd", transformed_kernels(weights))
    products = make("MatMul", [cube, kernels], "products")
    wide = make("Reshape", [products, ints(f"flat.{out_channels * tiles}", 36, tiles * out_channels)], "wide")
    back = np.kron(OUTPUT_TRANSFORM, OUTPUT_TRANSFORM).astype(np.float32)
    result = make("MatMul", [editor.add_constant("winograd.output", back), wide], "output")
    result = make("Reshape", [result, ints(f"tiles.{size}.{out_channels}", 16 * tiles, out_channels)], "tiles")
    if len(node.input) > 2 and node.input[2]:
        result = make("Add", [result, node.input[2]], "biased")
    if relu is not None:
        result = make("Relu", [result], "activated")
    order = editor.add_constant(f"winograd.pixels.{size}", tile_rows(height, width).astype(np.int32))
    result = make("Gather", [result, order], "ordered", axis=0)
    result = make("Reshape", [result, ints(f"map.{size}.{out_channels}", 1, height, width, out_channels)], "map")
    make("Transpose", [result], "channels", output=(relu or node).output[0], perm=[0, 3, 1, 2])
    return make.nodes


def winograd_convolutions(proto: onnx.ModelProto) -> int:
    """Replace every 3x3 convolution of stride 1 that is large enough, with a ReLU behind it if it has one, in place.

    The model has fixed sizes and no batch norm. Returns how many were replaced.
    """
    editor = GraphEditor(proto)
    nodes: list[onnx.NodeProto] = []
    absorbed: set[str] = set()
    replaced = 0
    for node in proto.graph.node:
        if node.name in absorbed:
            continue
        if not _fits(node, editor):
            nodes.append(node)
            continue
        reader = editor.only_reader(node.output[0])
        relu = reader if reader is not None and reader.op_type == "Relu" else None
        if relu is not None:
            absorbed.add(relu.name)
        nodes += _replacement(node, relu, editor)
        replaced += 1
    if replaced:
        editor.rebuild(nodes)
    return replaced

"""The layers of the backbones from their definitions, in NumPy and float64: the oracle of the parity tests.

Maps are ``(batch, channels, height, width)``. A layer takes its weights from ``weights`` under upstream's names.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]


def convolve(x: Array, kernel: Array, stride: int = 1) -> Array:
    """Zero-padded by half the kernel; depthwise when the kernel has one input channel and the map more."""
    batch, channels, height, width = x.shape
    side = kernel.shape[-1]
    pad = side // 2
    padded = np.zeros((batch, channels, height + 2 * pad, width + 2 * pad))
    padded[:, :, pad : pad + height, pad : pad + width] = x
    rows, columns = -(-height // stride), -(-width // stride)
    result = np.zeros((batch, len(kernel), rows, columns))
    for dy in range(side):
        for dx in range(side):
            tap = padded[:, :, dy::stride, dx::stride][:, :, :rows, :columns]
            if kernel.shape[1] == channels:
                result += np.tensordot(kernel[:, :, dy, dx], tap, axes=(1, 1)).transpose(1, 0, 2, 3)
            else:
                result += kernel[:, 0, dy, dx][None, :, None, None] * tap
    return result


def normalise(x: Array, weights: Weights, name: str) -> Array:
    def column(key: str) -> Array:
        return weights[f"{name}.{key}"][None, :, None, None]

    centred = (x - column("running_mean")) / np.sqrt(column("running_var") + 1e-5)
    return centred * column("weight") + column("bias")


def conv_bn(x: Array, weights: Weights, name: str, stride: int = 1, layers: tuple[str, str] = ("c", "bn")) -> Array:
    convolution, norm = (f"{name}.{layer}" for layer in layers)
    return normalise(convolve(x, weights[f"{convolution}.weight"], stride), weights, norm)


def relu(x: Array) -> Array:
    return np.where(x > 0, x, 0.0)


def relu6(x: Array) -> Array:
    return np.minimum(relu(x), 6.0)


def hard_sigmoid(x: Array) -> Array:
    return relu6(x + 3.0) / 6.0


def softmax(scores: Array) -> Array:
    """Over the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def adaptive_average(x: Array, rows: int, columns: int) -> Array:
    """Cell i of n over a side L covers the pixels from floor(i L / n) up to ceil((i + 1) L / n)."""
    height, width = x.shape[-2:]
    result = np.empty((*x.shape[:2], rows, columns))
    for i in range(rows):
        for j in range(columns):
            cell = x[
                :,
                :,
                i * height // rows : -(-(i + 1) * height // rows),
                j * width // columns : -(-(j + 1) * width // columns),
            ]
            result[:, :, i, j] = cell.mean(axis=(2, 3))
    return result


def interpolation(source: int, target: int) -> Array:
    """The ``(target, source)`` matrix of linear interpolation with pixel centres aligned and edges held."""
    matrix = np.zeros((target, source))
    for i in range(target):
        position = min(max((i + 0.5) * source / target - 0.5, 0.0), source - 1.0)
        left = int(position)
        matrix[i, left] += 1.0 - (position - left)
        matrix[i, min(left + 1, source - 1)] += position - left
    return matrix


def bilinear(x: Array, rows: int, columns: int) -> Array:
    height, width = x.shape[-2:]
    return np.einsum("rh,bchw,kw->bcrk", interpolation(height, rows), x, interpolation(width, columns), optimize=True)


def inverted_residual(x: Array, weights: Weights, name: str, stride: int) -> Array:
    """Expands when the sequence has a third convolution; adds the input when stride and width let it."""
    y = x
    last = max(place for place in (2, 4) if f"{name}.conv.{place}.c.weight" in weights)
    if last == 4:
        y = relu(conv_bn(y, weights, f"{name}.conv.0"))
    y = relu(conv_bn(y, weights, f"{name}.conv.{last - 2}", stride))
    y = conv_bn(y, weights, f"{name}.conv.{last}")
    return x + y if stride == 1 and y.shape == x.shape else y


def mlp(x: Array, weights: Weights, name: str) -> Array:
    y = conv_bn(x, weights, f"{name}.fc1")
    y = convolve(y, weights[f"{name}.dwconv.weight"]) + weights[f"{name}.dwconv.bias"][None, :, None, None]
    return conv_bn(relu6(y), weights, f"{name}.fc2")


def token_attention(x: Array, weights: Weights, name: str, heads: int) -> Array:
    """TopFormer's: every position attends to every position, one head at a time, without a scale."""
    batch, _, height, width = x.shape
    query, key, value = (
        conv_bn(x, weights, f"{name}.to_{part}").reshape(batch, heads, -1, height * width) for part in "qkv"
    )
    attended = np.empty_like(value)
    for head in range(heads):
        scores = np.einsum("bdn,bdm->bnm", query[:, head], key[:, head])
        attended[:, head] = np.einsum("bnm,bdm->bdn", softmax(scores), value[:, head])
    return conv_bn(relu6(attended.reshape(batch, -1, height, width)), weights, f"{name}.proj.1")


def axis_attention(query: Array, key: Array, value: Array, weights: Weights, name: str, axis: str, heads: int) -> Array:
    """SeaFormer's attention along rows or columns; gives ``(B, C, length)``."""
    squeezed = {"row": 3, "column": 2}[axis]
    length = query.shape[5 - squeezed]
    resize = interpolation(16, length).T
    q = query.mean(axis=squeezed) + weights[f"{name}.pos_emb_{axis}q.pos_embed"] @ resize
    k = key.mean(axis=squeezed) + weights[f"{name}.pos_emb_{axis}k.pos_embed"] @ resize
    v = value.mean(axis=squeezed)
    q, k, v = (part.reshape(len(part), heads, -1, length) for part in (q, k, v))
    scores = np.einsum("bhdn,bhdm->bhnm", q, k) / np.sqrt(q.shape[2])
    attended = np.einsum("bhnm,bhdm->bhdn", softmax(scores), v).reshape(len(v), -1, length, 1)
    return conv_bn(relu6(attended), weights, f"{name}.proj_encode_{axis}.1")[..., 0]


def squeeze_axial_attention(x: Array, weights: Weights, name: str, heads: int) -> Array:
    query, key, value = (conv_bn(x, weights, f"{name}.to_{part}") for part in "qkv")
    detail = conv_bn(np.concatenate([query, key, value], axis=1), weights, f"{name}.dwconv")
    detail = conv_bn(relu6(detail), weights, f"{name}.pwconv")
    row = axis_attention(query, key, value, weights, name, "row", heads)[:, :, :, None]
    column = axis_attention(query, key, value, weights, name, "column", heads)[:, :, None, :]
    return hard_sigmoid(conv_bn(relu6(value + row + column), weights, f"{name}.proj.1")) * detail


def injection(local: Array, semantics: Array, weights: Weights, name: str) -> Array:
    rows, columns = local.shape[-2:]
    layers = ("conv", "bn")
    gate = hard_sigmoid(conv_bn(semantics, weights, f"{name}.global_act", layers=layers))
    added = conv_bn(semantics, weights, f"{name}.global_embedding", layers=layers)
    local = conv_bn(local, weights, f"{name}.local_embedding", layers=layers)
    return local * bilinear(gate, rows, columns) + bilinear(added, rows, columns)

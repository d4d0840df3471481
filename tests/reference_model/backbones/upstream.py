"""Upstream's networks as data: their sizes, the keys and shapes of their checkpoints, and their passes in NumPy.

Written from the facts of the public projects and independent of the implementation under test: nothing here imports it.
"""

from dataclasses import dataclass

import numpy as np
import torch

from tests.reference_model.backbones.numpy_blocks import (
    Array,
    Weights,
    adaptive_average,
    conv_bn,
    injection,
    inverted_residual,
    mlp,
    relu,
    relu6,
    squeeze_axial_attention,
    token_attention,
)

Row = tuple[int, int, int, int]  # kernel, expansion, channels, stride
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class TopFormerSize:
    rows: list[Row]
    outputs: list[int]
    heads: int
    injected: int


@dataclass(frozen=True)
class SeaFormerSize:
    stem: int
    stacks: list[list[Row]]
    depths: list[int]
    heads: int
    keys: list[int]
    mlp_ratios: list[int]


# fmt: off
TOPFORMER = {
    "topformer_tiny": TopFormerSize(
        [(3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1), (5, 3, 32, 2), (5, 3, 32, 1), (3, 3, 64, 2), (3, 3, 64, 1),
         (5, 6, 96, 2), (5, 6, 96, 1)], [2, 4, 6, 8], 4, 128),
    "topformer_small": TopFormerSize(
        [(3, 1, 16, 1), (3, 4, 24, 2), (3, 3, 24, 1), (5, 3, 48, 2), (5, 3, 48, 1), (3, 3, 96, 2), (3, 3, 96, 1),
         (5, 6, 128, 2), (5, 6, 128, 1), (3, 6, 128, 1)], [2, 4, 6, 9], 6, 192),
    "topformer_base": TopFormerSize(
        [(3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1), (5, 3, 64, 2), (5, 3, 64, 1), (3, 3, 128, 2), (3, 3, 128, 1),
         (5, 6, 160, 2), (5, 6, 160, 1), (3, 6, 160, 1)], [2, 4, 6, 9], 8, 256),
}
SEAFORMER = {
    "seaformer_tiny": SeaFormerSize(
        16, [[(3, 1, 16, 1), (3, 4, 16, 2), (3, 3, 16, 1)], [(5, 3, 32, 2), (5, 3, 32, 1)],
             [(3, 3, 64, 2), (3, 3, 64, 1)], [(5, 3, 128, 2)], [(3, 6, 160, 2)]], [2, 2], 4, [16, 24], [2, 4]),
    "seaformer_small": SeaFormerSize(
        16, [[(3, 1, 16, 1), (3, 4, 24, 2), (3, 3, 24, 1)], [(5, 3, 48, 2), (5, 3, 48, 1)],
             [(3, 3, 96, 2), (3, 3, 96, 1)], [(5, 4, 160, 2)], [(3, 6, 192, 2)]], [3, 3], 6, [16, 24], [2, 4]),
    "seaformer_base": SeaFormerSize(
        16, [[(3, 1, 16, 1), (3, 4, 32, 2), (3, 3, 32, 1)], [(5, 3, 64, 2), (5, 3, 64, 1)],
             [(3, 3, 128, 2), (3, 3, 128, 1)], [(5, 4, 192, 2)], [(3, 6, 256, 2)]], [4, 4], 8, [16, 24], [2, 4]),
    "seaformer_large": SeaFormerSize(
        32, [[(3, 3, 32, 1), (3, 4, 64, 2), (3, 4, 64, 1)], [(5, 4, 128, 2), (5, 4, 128, 1)],
             [(3, 4, 192, 2), (3, 4, 192, 1)], [(5, 4, 256, 2)], [(3, 6, 320, 2)]],
        [3, 3, 3], 8, [16, 20, 24], [2, 4, 6]),
}
# fmt: on


def _norm(name: str, channels: int) -> Shapes:
    shapes: Shapes = {f"{name}.{key}": (channels,) for key in ("weight", "bias", "running_mean", "running_var")}
    return shapes | {f"{name}.num_batches_tracked": ()}


def _conv_bn(name: str, into: int, out: int, kernel: int = 1, layers: tuple[str, str] = ("c", "bn")) -> Shapes:
    return {f"{name}.{layers[0]}.weight": (out, into, kernel, kernel)} | _norm(f"{name}.{layers[1]}", out)


def _inverted_residual(name: str, into: int, row: Row) -> Shapes:
    kernel, expansion, out, _ = row
    hidden = into * expansion
    if expansion == 1:
        return _conv_bn(f"{name}.conv.0", 1, into, kernel) | _conv_bn(f"{name}.conv.2", into, out)
    shapes = _conv_bn(f"{name}.conv.0", into, hidden)
    return shapes | _conv_bn(f"{name}.conv.2", 1, hidden, kernel) | _conv_bn(f"{name}.conv.4", hidden, out)


def _block(name: str, dim: int, heads: int, key: int, mlp_ratio: int) -> Shapes:
    values, hidden = heads * key * 2, dim * mlp_ratio
    return (
        _conv_bn(f"{name}.attn.to_q", dim, heads * key)
        | _conv_bn(f"{name}.attn.to_k", dim, heads * key)
        | _conv_bn(f"{name}.attn.to_v", dim, values)
        | _conv_bn(f"{name}.attn.proj.1", values, dim)
        | _conv_bn(f"{name}.mlp.fc1", dim, hidden)
        | {f"{name}.mlp.dwconv.weight": (hidden, 1, 3, 3), f"{name}.mlp.dwconv.bias": (hidden,)}
        | _conv_bn(f"{name}.mlp.fc2", hidden, dim)
    )


def topformer_shapes(size: TopFormerSize, injected: bool) -> Shapes:
    """Keys and shapes of a TopFormer checkpoint, bare of prefixes and heads."""
    shapes = _conv_bn("tpm.stem.0", 3, 16, 3)
    into = 16
    for number, row in enumerate(size.rows, start=1):
        shapes |= _inverted_residual(f"tpm.layer{number}", into, row)
        into = row[2]
    widths = [size.rows[row][2] for row in size.outputs]
    for block in range(4):
        shapes |= _block(f"trans.transformer_blocks.{block}", sum(widths), size.heads, 16, 2)
    if injected:
        for level in (1, 2, 3):
            for part in ("local_embedding", "global_embedding", "global_act"):
                shapes |= _conv_bn(f"SIM.{level}.{part}", widths[level], size.injected, 1, ("conv", "bn"))
    return shapes


def seaformer_shapes(size: SeaFormerSize) -> Shapes:
    """Keys and shapes of a SeaFormer checkpoint, bare of prefixes and heads."""
    shapes = _conv_bn("smb1.stem_block.0", 3, size.stem, 3)
    into = size.stem
    for number, rows in enumerate(size.stacks, start=1):
        for layer, row in enumerate(rows, start=1):
            shapes |= _inverted_residual(f"smb{number}.layer{layer}", into, row)
            into = row[2]
    for stage, depth in enumerate(size.depths):
        dim = size.stacks[stage - len(size.depths)][-1][2]
        keys = size.heads * size.keys[stage]
        for block in range(depth):
            name = f"trans{stage + 1}.transformer_blocks.{block}"
            shapes |= _block(name, dim, size.heads, size.keys[stage], size.mlp_ratios[stage])
            for axis in ("row", "column"):
                shapes |= _conv_bn(f"{name}.attn.proj_encode_{axis}.1", 2 * keys, 2 * keys)
                for of in "qk":
                    shapes[f"{name}.attn.pos_emb_{axis}{of}.pos_embed"] = (1, keys, 16)
            shapes |= _conv_bn(f"{name}.attn.dwconv", 1, 4 * keys, 3) | _conv_bn(f"{name}.attn.pwconv", 4 * keys, dim)
    return shapes


def random_weights(shapes: Shapes, seed: int = 0) -> Weights:
    """Weights that keep every map near unit size, so that float32 can be compared too."""
    generator = np.random.default_rng(seed)
    weights: Weights = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = np.array(7.0)
        elif len(shape) == 4:
            weights[key] = generator.normal(0.0, np.sqrt(1.0 / np.prod(shape[1:])), shape)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            weights[key] = generator.uniform(0.6, 1.4, shape)
        else:
            weights[key] = generator.normal(0.0, 0.3, shape)
    return weights


def to_state_dict(weights: Weights) -> dict[str, torch.Tensor]:
    """As a checkpoint: counters are int64, the rest float64, so that no precision is lost on the way."""
    return {
        key: torch.tensor(value, dtype=torch.int64 if key.endswith("num_batches_tracked") else torch.float64)
        for key, value in weights.items()
    }


def topformer_stages(size: TopFormerSize, weights: Weights, image: Array, injected: bool) -> dict[str, Array]:
    stages: dict[str, Array] = {}
    x = relu(conv_bn(image, weights, "tpm.stem.0", stride=2))
    for index, row in enumerate(size.rows):
        x = inverted_residual(x, weights, f"tpm.layer{index + 1}", stride=row[3])
        if index in size.outputs:
            stages[f"pyr{2 + size.outputs.index(index)}"] = x
    rows, columns = ((side - 1) // 2 + 1 for side in x.shape[-2:])
    pyramid = [stages[f"pyr{level}"] for level in (2, 3, 4, 5)]
    x = np.concatenate([adaptive_average(level, rows, columns) for level in pyramid], axis=1)
    stages["pooled_cat"] = x
    for block in range(4):
        name = f"trans.transformer_blocks.{block}"
        x = x + token_attention(x, weights, f"{name}.attn", size.heads)
        x = x + mlp(x, weights, f"{name}.mlp")
        stages[f"block{block}"] = x
    stages["x6"] = x
    if injected:
        start = 0
        for index, level in enumerate(pyramid):
            semantics = x[:, start : start + level.shape[1]]
            start += level.shape[1]
            if index > 0:
                stages[f"inj{index + 2}"] = injection(level, semantics, weights, f"SIM.{index}")
    return stages


def seaformer_stages(size: SeaFormerSize, weights: Weights, image: Array) -> dict[str, Array]:
    stages: dict[str, Array] = {}
    x = relu(conv_bn(image, weights, "smb1.stem_block.0", stride=2))
    for number, rows in enumerate(size.stacks, start=1):
        for layer, row in enumerate(rows, start=1):
            x = inverted_residual(x, weights, f"smb{number}.layer{layer}", stride=row[3])
        stages[f"smb{number}"] = x
        stage = number - len(size.stacks) + len(size.depths)
        if stage >= 1:
            for block in range(size.depths[stage - 1]):
                name = f"trans{stage}.transformer_blocks.{block}"
                x = x + squeeze_axial_attention(x, weights, f"{name}.attn", size.heads)
                x = x + mlp(x, weights, f"{name}.mlp")
            stages[f"trans{stage}"] = x
    return stages


MOBILENETV2 = [(1, 16, 1), (6, 24, 2), (6, 24, 1), (6, 32, 2), (6, 32, 1), (6, 32, 1), (6, 64, 2), (6, 64, 1)]
MOBILENETV2 += [(6, 64, 1), (6, 64, 1), (6, 96, 1), (6, 96, 1), (6, 96, 1), (6, 160, 2), (6, 160, 1), (6, 160, 1)]
MOBILENETV2 += [(6, 320, 1)]  # expansion, channels, stride of features.1 to features.17
MOBILENETV2_STAGE_ENDS = [1, 3, 6, 10, 13, 16, 17]


def mobilenetv2_shapes() -> Shapes:
    """Keys and shapes of torchvision's MobileNetV2 without features.18 and the classifier."""
    shapes = _conv_bn("features.0", 3, 32, 3, ("0", "1"))
    into = 32
    for number, (expansion, out, _) in enumerate(MOBILENETV2, start=1):
        name, hidden, place = f"features.{number}.conv", into * expansion, 0
        if expansion != 1:
            shapes |= _conv_bn(f"{name}.0", into, hidden, 1, ("0", "1"))
            place = 1
        shapes |= _conv_bn(f"{name}.{place}", 1, hidden, 3, ("0", "1"))
        shapes |= _conv_bn(name, hidden, out, 1, (str(place + 1), str(place + 2)))
        into = out
    return shapes


def mobilenetv2_stages(weights: Weights, image: Array) -> dict[str, Array]:
    """Without x6, which is not upstream's."""
    stages: dict[str, Array] = {}
    x = relu6(conv_bn(image, weights, "features.0", 2, ("0", "1")))
    for number, (expansion, _, stride) in enumerate(MOBILENETV2, start=1):
        name, y, place = f"features.{number}.conv", x, 0
        if expansion != 1:
            y = relu6(conv_bn(y, weights, f"{name}.0", layers=("0", "1")))
            place = 1
        y = relu6(conv_bn(y, weights, f"{name}.{place}", stride, ("0", "1")))
        y = conv_bn(y, weights, name, layers=(str(place + 1), str(place + 2)))
        x = x + y if stride == 1 and x.shape == y.shape else y
        if number in MOBILENETV2_STAGE_ENDS:
            stages[f"stage{MOBILENETV2_STAGE_ENDS.index(number) + 1}"] = x
    return stages

"""Parts of the networks of prior art against their definitions in plain NumPy, SparseInst against upstream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from reference_model.images import normalise
from suite.errors import InputError
from suite.models.condinst import OBJECT_SIZES_PX, dynamic_masks
from suite.models.fastinst import choose_places
from suite.models.mask2former import DeformableAttention, cell_centres
from suite.models.parts.attention import HIDDEN, Attention, attention_bias
from suite.models.parts.feature_maps import CoordinateConv, FeaturePyramid, coordinate_maps
from suite.models.solov2 import GridHead
from suite.models.sparseinst import SparseInst, load_official, official_segmenter


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_a_tower_with_coordinates_is_one_on_two_more_channels() -> None:
    torch.manual_seed(0)
    head = GridHead(depth=2, width=64, kernel_dim=16, num_classes=5).eval()
    level = torch.randn(1, 256, 12, 20)
    scores, maxima, kernels = head(level, 6)
    # As published: the coordinates are appended to the level and both are resized to the grid.
    appended = F.interpolate(
        torch.cat([level, coordinate_maps(12, 20, level.device)], dim=1), size=(6, 6), mode="bilinear"
    )
    first, *rest = head.kernel_tower
    assert isinstance(first, CoordinateConv)
    weight = torch.cat([first.of_features.weight, first.of_coordinates.weight], dim=1)
    feature = F.conv2d(appended, weight, padding=1)
    for layer in rest:
        feature = layer(feature)
    torch.testing.assert_close(kernels, head.kernels(feature).flatten(2), rtol=1e-4, atol=1e-4)
    plain = head.classes(head.class_tower(appended[:, :256])).sigmoid().flatten(2)
    torch.testing.assert_close(scores, plain)
    assert 0 < int((scores == maxima).sum()) < scores.numel()
    assert bool((maxima >= scores).all())


def test_every_instance_has_its_own_mask_head() -> None:
    generator = np.random.default_rng(0)
    count, height, width = 6, 4, 5
    features = generator.normal(size=(8, height, width))
    controllers = generator.normal(size=(count, 169))
    centres = generator.uniform(0, 40, (count, 2))
    sizes = np.array([*OBJECT_SIZES_PX, 64.0])
    expected = np.zeros((count, height, width))
    for k, row, column in np.ndindex(count, height, width):
        pixel = np.array([column * 8 + 4, row * 8 + 4])
        values = np.concatenate([(centres[k] - pixel) / sizes[k], features[:, row, column]])
        weights, start = controllers[k], 0
        layers = []
        for out_channels, in_channels in ((8, 10), (8, 8), (1, 8)):
            layers.append(weights[start : start + out_channels * in_channels].reshape(out_channels, in_channels))
            start += out_channels * in_channels
        for number, layer in enumerate(layers):
            values = layer @ values + weights[start : start + len(layer)]
            start += len(layer)
            values = np.maximum(values, 0) if number < 2 else values
        assert start == 169
        expected[k, row, column] = values[0]
    found = dynamic_masks(*(torch.from_numpy(array) for array in (features[None], controllers, centres, sizes)))
    np.testing.assert_allclose(found[0].numpy(), expected, atol=1e-9)


CHANNELS = (6, 5, 4)
MAPS = [torch.randn(1, channels, *size) for channels, size in zip(CHANNELS, ((12, 20), (6, 10), (3, 5)), strict=True)]


def test_levels_are_lateral_plus_the_coarser_sum() -> None:
    pyramid = FeaturePyramid(CHANNELS, width=8)
    lateral5 = pyramid.laterals[2](MAPS[2])
    sum4 = pyramid.laterals[1](MAPS[1]) + lateral5.repeat_interleave(2, 2).repeat_interleave(2, 3)
    sum3 = pyramid.laterals[0](MAPS[0]) + sum4.repeat_interleave(2, 2).repeat_interleave(2, 3)
    p3, p4, p5, p6 = pyramid(MAPS)
    for index, (level, expected) in enumerate(((p3, sum3), (p4, sum4), (p5, lateral5))):
        torch.testing.assert_close(level, pyramid.outputs[index](expected))
    assert torch.equal(p6, p5[..., ::2, ::2])


def _linear(layer: torch.nn.Linear, values: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = values @ layer.weight.double().numpy().T + layer.bias.double().numpy()
    return result


def test_masked_attention_is_a_softmax_over_the_mask_s_foreground() -> None:
    torch.manual_seed(0)
    attention = Attention(width=16, heads=2).eval()
    tokens, keys, values = torch.randn(1, 3, 16), torch.randn(1, 6, 16), torch.randn(1, 6, 16)
    position = torch.randn(1, 3, 16)
    mask = torch.tensor([[1.0, -1, -1, 1, 0, -1], [-1.0] * 6, [1.0] * 6]).reshape(1, 3, 2, 3)
    bias = attention_bias(mask)
    assert bias.shape == (1, 1, 3, 6)
    # The query without foreground sees everything, as the one whose mask is everywhere; 0 is foreground.
    assert bias[0, 0].tolist() == [[0, HIDDEN, HIDDEN, 0, 0, HIDDEN], [0] * 6, [0] * 6]
    found = attention(tokens, position, keys, values, bias)[0].numpy()

    q = _linear(attention.query, (tokens + position)[0].double().numpy())
    k, v = (
        _linear(layer, value[0].double().numpy()) for layer, value in ((attention.key, keys), (attention.value, values))
    )
    mixed = np.zeros((3, 16))
    seen = [[0, 3, 4], list(range(6)), list(range(6))]
    for head in (slice(0, 8), slice(8, 16)):
        for query, places in enumerate(seen):
            scores = np.exp(k[places][:, head] @ q[query, head] / np.sqrt(8))
            mixed[query, head] = (scores / scores.sum()) @ v[places][:, head]
    total = tokens[0].double().numpy() + _linear(attention.out, mixed)
    total = (total - total.mean(1, keepdims=True)) / np.sqrt(total.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(found, total, atol=1e-5)


def test_fastinst_prefers_local_maxima_of_a_class_to_higher_neighbours() -> None:
    logits = torch.full((1, 3, 4, 5), -4.0)
    logits[:, 2] = 0.0  # no object
    logits[0, 0, 0, 0] = 4.0
    logits[0, 0, 0, 1] = 3.0  # confident, but beside a more confident place of its class
    logits[0, 1, 3, 4] = 1.0  # a weak peak of the other class
    generator = torch.Generator().manual_seed(0)
    logits[0, :2] += torch.rand(2, 4, 5, generator=generator) * 1e-3
    probability = logits.softmax(1)[0, :2].numpy()
    scores = np.empty((4, 5))
    for row, column in np.ndindex(4, 5):
        category = int(probability[:, row, column].argmax())
        window = probability[category, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        value = probability[category, row, column]
        scores[row, column] = value + float(value >= window.max())
    for count in (2, 5, 20):
        expected = np.sort(np.argsort(-scores.ravel())[:count])
        assert choose_places(logits, count).tolist() == expected.tolist()
    chosen = choose_places(logits, 2).tolist()
    assert chosen == [0, 19]


SIZES = [(2, 3), (4, 5)]


def at(values: NDArray[np.float64], x: float, y: float) -> NDArray[np.float64]:
    """Bilinear value of a map (h, w, c) at a place in cells, half-pixel centres, zero outside."""
    height, width, _ = values.shape
    left, top = int(np.floor(x - 0.5)), int(np.floor(y - 0.5))
    total = np.zeros(values.shape[2])
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        share = max(0.0, 1 - abs(x - 0.5 - column)) * max(0.0, 1 - abs(y - 0.5 - row))
        if 0 <= row < height and 0 <= column < width:
            total += share * values[row, column]
    return total


def test_every_token_mixes_bilinear_samples_of_every_map() -> None:
    torch.manual_seed(0)
    width, heads, points = 8, 2, 3
    layer = DeformableAttention(width, heads, len(SIZES), points).eval()
    count = sum(height * breadth for height, breadth in SIZES)
    queries, tokens = torch.randn(1, count, width), torch.randn(1, count, width)
    centres = cell_centres(SIZES, queries.device)
    with torch.no_grad():
        found = layer(queries, tokens, centres, SIZES)[0].numpy()
        offsets = layer.offsets(queries)[0].double().numpy().reshape(count, heads, len(SIZES), points, 2)
        weights = layer.weights(queries)[0].double().numpy().reshape(count, heads, -1)
        values = layer.value(tokens)[0].double().numpy()
        out = layer.out.weight.double().numpy(), layer.out.bias.double().numpy()
    weights = np.exp(weights) / np.exp(weights).sum(-1, keepdims=True)
    maps, start = [], 0
    for height, breadth in SIZES:
        maps.append(values[start : start + height * breadth].reshape(height, breadth, heads, -1))
        start += height * breadth
    mixed = np.zeros((count, heads, width // heads))
    for token, head, level, point in np.ndindex(count, heads, len(SIZES), points):
        height, breadth = SIZES[level]
        x = float(centres[token, 0]) * breadth + offsets[token, head, level, point, 0]
        y = float(centres[token, 1]) * height + offsets[token, head, level, point, 1]
        share = weights[token, head, level * points + point]
        mixed[token, head] += share * at(maps[level][:, :, head], x, y)
    expected = mixed.reshape(count, width) @ out[0].T + out[1]
    np.testing.assert_allclose(found, expected, atol=1e-4)


class Upstream(dict[str, Tensor]):
    """hustvl/SparseInst with ResNet-50 and GroupIAM, by its names; a tensor is drawn where it is first asked for."""

    def conv(self, name: str, x: Tensor, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Tensor:
        shape, norm = (out, x.shape[1] // groups, kernel, kernel), name.startswith("backbone")
        weight = self.setdefault(f"{name}.weight", torch.randn(shape) / (shape[1] * kernel**2) ** 0.5)
        keys = [f"{name}.norm.{key}" for key in ("running_mean", "running_var", "weight", "bias")] if norm else []
        drawn = [self.setdefault(key, 0.5 + 0.5 * torch.rand(out)) for key in keys or [f"{name}.bias"]]
        x = F.conv2d(x, weight, None if norm else drawn[0], stride, kernel // 2, 1, groups)
        return F.batch_norm(x, *drawn) if norm else x

    def linear(self, name: str, x: Tensor, out: int) -> Tensor:
        weight = self.setdefault(f"{name}.weight", torch.randn(out, x.shape[-1]) / x.shape[-1] ** 0.5)
        return F.linear(x, weight, self.setdefault(f"{name}.bias", torch.rand(out)))

    def encoded(self, image: Tensor) -> Tensor:
        x, maps = F.max_pool2d(self.conv("backbone.stem.conv1", image, 64, 7, 2).relu(), 3, 2, 1), []
        for stage, blocks in enumerate((3, 4, 6, 3)):
            for block in range(blocks):
                name, width, stride = f"backbone.res{stage + 2}.{block}", 64 << stage, 2 if stage and not block else 1
                y = self.conv(f"{name}.conv2", self.conv(f"{name}.conv1", x, width).relu(), width, 3, stride).relu()
                shortcut = x if block else self.conv(f"{name}.shortcut", x, 4 * width, 1, stride)
                x = (self.conv(f"{name}.conv3", y, 4 * width) + shortcut).relu()
            maps.append(x)
        levels: list[Tensor] = []
        for level, feature in enumerate(reversed(maps[1:])):
            lateral = self.conv(f"encoder.fpn_laterals.{level}", feature, 256)
            if level:
                x = lateral + F.interpolate(x, scale_factor=2.0)
            else:
                cells = ((n, F.adaptive_avg_pool2d(lateral, size)) for n, size in enumerate((1, 2, 3, 6)))
                pooled = [self.conv(f"encoder.ppm.stages.{n}.1", part, 64).relu() for n, part in cells]
                sized = [F.interpolate(part, lateral.shape[2:], mode="bilinear") for part in pooled]
                x = self.conv("encoder.ppm.bottleneck", torch.cat([*sized, lateral], 1), 256).relu()
            levels.insert(0, self.conv(f"encoder.fpn_outputs.{level}", x, 256, 3))
        sized = [F.interpolate(level, levels[0].shape[2:], mode="bilinear") for level in levels]
        return self.conv("encoder.fusion", torch.cat(sized, 1), 256)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, head = self.encoded(image), "decoder.inst_branch"
        ranges = [torch.linspace(-1, 1, side) for side in x.shape[2:]]
        inst = mask = torch.cat([torch.stack(torch.meshgrid(*ranges, indexing="ij")[::-1])[None], x], 1)
        for place in (0, 2, 4, 6):
            inst = self.conv(f"{head}.inst_convs.{place}", inst, 256, 3).relu()
            mask = self.conv(f"decoder.mask_branch.mask_convs.{place}", mask, 256, 3).relu()
        iam = self.conv(f"{head}.iam_conv", inst, 400, 3, groups=4).sigmoid().flatten(2)
        found = (iam @ inst.flatten(2).transpose(1, 2)) / iam.sum(-1, keepdim=True)
        found = self.linear(f"{head}.fc", found.reshape(1, 4, 100, 256).transpose(1, 2).flatten(2), 1024).relu()
        mask = self.conv("decoder.mask_branch.projection", mask, 128)
        masks = (self.linear(f"{head}.mask_kernel", found, 128) @ mask.flatten(2)).view(1, 100, *mask.shape[2:])
        masks = F.interpolate(masks, scale_factor=2.0, mode="bilinear")
        return self.linear(f"{head}.cls_score", found, 80), self.linear(f"{head}.objectness", found, 1), masks


def test_sparseinst_s_outputs_are_upstream_s(tmp_path: Path) -> None:
    torch.manual_seed(0)
    picture, upstream, path = torch.randint(256, (64, 96, 3)).byte(), Upstream(), tmp_path / "sparse_inst_r50_giam.pth"
    wanted = upstream.forward(image := normalise(picture.permute(2, 0, 1)[None]))
    torch.save({"model": dict(upstream), "iteration": 1}, path)
    network = SparseInst("resnet50").eval()
    load_official(network, path)
    torch.testing.assert_close(tuple(network(image)), wanted, rtol=1e-3, atol=1e-3)
    segmenter = official_segmenter(path)
    segmenter.protocol = replace(segmenter.protocol, short_side_px=64, long_side_px=96)
    masks = F.interpolate(wanted[2].sigmoid(), scale_factor=4.0, mode="bilinear")[0] > 0.45
    kept = (wanted[0].sigmoid() * wanted[1].sigmoid()).sqrt()[0].amax(1) > 0.005
    found = [int(one.mask.sum()) for one in segmenter.segment(picture.numpy())]
    assert sorted(found) == pytest.approx(sorted(filter(None, masks[kept].sum((1, 2)).tolist())), rel=0.01, abs=3)
    del upstream["decoder.inst_branch.fc.weight"]
    torch.save(dict(upstream), path)
    with pytest.raises(InputError):
        load_official(network, path)

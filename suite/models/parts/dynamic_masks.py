"""CondInst's masks: features at 1/8 that all instances share, and a mask head of 169 weights per instance.

Tian et al., "Conditional Convolutions for Instance Segmentation", ECCV 2020. The mask head is three 1x1 convolutions,
10 -> 8 -> 8 -> 1 channels with ReLU between, on the 8 features and the instance's relative coordinates.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from reference_model.backbones.blocks import ConvNorm

FEATURES = 8
CONTROLS = 169
FEATURE_STRIDE_PX = 8
OBJECT_SIZES_PX = (64, 128, 256, 512, 1024)
"""What relative coordinates are divided by, per level of the instance's location."""
WEIGHT_COUNTS = ((FEATURES + 2) * FEATURES, FEATURES * FEATURES, FEATURES)
BIAS_COUNTS = (FEATURES, FEATURES, 1)


def upsample_aligned(feature: Tensor, factor: int) -> Tensor:
    """Enlarge a map so that cell i lands exactly on cell ``factor * i + factor // 2``, linearly in between.

    AdelaiDet calls this aligned bilinear and computes it by padding, resizing with aligned corners, padding and
    cropping. Repeating each cell and averaging over windows of ``factor`` is the same function, edges included, made
    of two operators that every mobile runtime has fast.

    Args:
        feature: (B, C, h, w).
        factor: even.

    Returns:
        (B, C, factor * h, factor * w).
    """
    height, width = factor * feature.shape[2], factor * feature.shape[3]
    repeated = F.interpolate(feature, scale_factor=factor, mode="nearest")
    averaged = F.avg_pool2d(repeated, factor, stride=1, padding=factor // 2, count_include_pad=False)
    return averaged[..., :height, :width]


class MaskFeatureBranch(nn.Module):
    """P3, P4 and P5 to the shared mask features at 1/8."""

    def __init__(self, in_channels: int = 256, width: int = 128) -> None:
        super().__init__()
        self.refine = nn.ModuleList(nn.Sequential(ConvNorm(in_channels, width, 3), nn.ReLU()) for _ in range(3))
        self.tower = nn.Sequential()
        for _ in range(4):
            self.tower.append(ConvNorm(width, width, 3))
            self.tower.append(nn.ReLU())
        self.tower.append(nn.Conv2d(width, FEATURES, 1))

    def forward(self, p3: Tensor, p4: Tensor, p5: Tensor) -> Tensor:
        """Levels (B, 256, h, w), each half the size of the one before, to ``(B, 8, H/8, W/8)``."""
        total = self.refine[0](p3)
        for factor, refine, level in ((2, self.refine[1], p4), (4, self.refine[2], p5)):
            enlarged = upsample_aligned(refine(level), factor)
            # P3 of an image whose sides are no multiples of 32 is smaller than its coarser levels enlarged.
            total = total + enlarged[..., : total.shape[2], : total.shape[3]]
        result: Tensor = self.tower(total)
        return result


def dynamic_masks(features: Tensor, controllers: Tensor, centres_px: Tensor, sizes_px: Tensor) -> Tensor:
    """Run every instance's own mask head.

    The first convolution reads the 8 features, which all instances share, and (centre - pixel) / size. Being linear it
    splits into one matrix product with the features, x, y and 1, so that no map is repeated per instance; the other two
    are grouped convolutions, one group per instance. In ONNX Runtime this takes 0.6 of the time of three grouped
    convolutions, and batched matrix products instead of the last two take 0.95.

    Args:
        features: (1, 8, h, w) at 1/8.
        controllers: (K, 169): weights of the three layers (80, 64, 8; output-major, x and y before the features), then
            their biases (8, 8, 1).
        centres_px: (K, 2), x and y of the instances' locations.
        sizes_px: (K,), from `OBJECT_SIZES_PX`.

    Returns:
        Mask logits (1, K, h, w).
    """
    count = len(controllers)
    height, width = features.shape[-2:]
    first, second, third, first_bias, second_bias, third_bias = torch.split(
        controllers, [*WEIGHT_COUNTS, *BIAS_COUNTS], dim=1
    )
    first = first.view(count, FEATURES, FEATURES + 2)
    of_coordinates = first[:, :, :2] / sizes_px[:, None, None]
    offset = first_bias + (of_coordinates @ centres_px[:, :, None]).squeeze(2)
    weights = torch.cat([first[:, :, 2:], -of_coordinates, offset[:, :, None]], dim=2).view(count * FEATURES, -1)

    columns = torch.arange(width, device=features.device) * FEATURE_STRIDE_PX + FEATURE_STRIDE_PX // 2
    rows = torch.arange(height, device=features.device) * FEATURE_STRIDE_PX + FEATURE_STRIDE_PX // 2
    pixels = torch.stack(
        [columns.expand(height, width), rows[:, None].expand(height, width), torch.ones(height, width).to(columns)]
    ).to(features.dtype)
    basis = torch.cat([features.view(FEATURES, -1), pixels.view(3, -1)])

    hidden = F.relu(weights @ basis).view(1, count * FEATURES, height, width)
    hidden = F.conv2d(hidden, second.reshape(-1, FEATURES, 1, 1), second_bias.reshape(-1), groups=count)
    return F.conv2d(F.relu(hidden), third.reshape(count, FEATURES, 1, 1), third_bias.reshape(-1), groups=count)

"""MobileNetV2 1.0, up to its last inverted residual.

Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2. MobileInst's paper
compares with it but does not say how X6 was made; here X5 is averaged by 2 and projected.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from reference_model.backbones import official
from reference_model.backbones.base import Backbone
from reference_model.backbones.blocks import ConvNorm, InvertedResidual, initialise_convolutions

STEM_CHANNELS = 32
STAGES = (  # expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
X6_CHANNELS = 256


class MobileNetV2(Backbone):
    """MobileNetV2 as a backbone of four maps: stages 3, 5 and 7 are X3, X4 and X5.

    X6 is our own choice, no network of the literature: X5 averaged over cells of 2x2 (cut at odd edges), then a 1x1
    convolution, normalisation and ReLU to 256 channels. It stays as drawn when official weights are loaded.
    """

    out_channels = (32, 96, 320, X6_CHANNELS)
    out_stages = ("stage3", "stage5", "stage7", "x6")

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, kernel_size=3, stride=2)
        self.stages = nn.ModuleList()
        width = STEM_CHANNELS
        for expansion, channels, count, first_stride in STAGES:
            blocks = nn.Sequential()
            for stride in (first_stride, *[1] * (count - 1)):
                blocks.append(InvertedResidual(width, channels, 3, stride, expansion, activation=nn.ReLU6))
                width = channels
            self.stages.append(blocks)
        self.x6_projection = ConvNorm(width, X6_CHANNELS)
        initialise_convolutions(self)

    def stage_features(self, image: Tensor) -> dict[str, Tensor]:
        """Every stage's map.

        Args:
            image: ``(B, 3, H, W)``, normalised RGB, sides of any size.

        Returns:
            ``stage1..stage7`` (strides 2, 4, 8, 16, 16, 32, 32) and ``x6`` (stride 64).
        """
        stages = {}
        feature = F.relu6(self.stem(image))
        for index, stage in enumerate(self.stages, start=1):
            feature = stages[f"stage{index}"] = stage(feature)
        # without padding count_include_pad changes no value; set, some runtimes would divide cut cells by 4
        pooled = F.avg_pool2d(feature, 2, ceil_mode=True, count_include_pad=False)
        stages["x6"] = F.relu(self.x6_projection(pooled))
        return stages

    def official_layout(self) -> official.OfficialLayout:
        """The layout of torchvision; its last 1x1 convolution (``features.18``) belongs to the classifier."""
        names = official.conv_norm("stem", "features.0", ("0", "1"))
        place = 1
        for index, (expansion, _, count, _) in enumerate(STAGES):
            for row in range(count):
                ours, theirs = f"stages.{index}.{row}", f"features.{place}.conv"
                activated = ("depthwise",) if expansion == 1 else ("expand", "depthwise")
                for position, part in enumerate(activated):
                    names |= official.conv_norm(f"{ours}.{part}", f"{theirs}.{position}", ("0", "1"))
                last = len(activated)
                names |= official.conv_norm(f"{ours}.project", theirs, (str(last), str(last + 1)))
                place += 1
        return official.OfficialLayout(names, dropped=("classifier.", f"features.{place}."))

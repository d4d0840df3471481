from __future__ import annotations

import pytest
import torch
from torch import nn

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from suite.export.counts import Count, count, count_total, total
from tests.reference_model.small import small_config

torch.set_num_threads(1)

GOLDEN = {
    ("mobileinst_topformer_base_640", 640, 640): {
        "backbone": (4683104, 1886464000),
        "mask_decoder": (4161664, 10380902400),
        "instance_decoder": (1423569, 156902400),
        "mask_product": (0, 81920000),
    },
    ("mobileinst_topformer_tiny_640", 512, 512): {
        "backbone": (1293888, 423485440),
        "mask_decoder": (4075648, 6586368000),
        "instance_decoder": (1423569, 143778816),
        "mask_product": (0, 52428800),
    },
    ("mobileinst_seaformer_base_640", 640, 640): {
        "backbone": (8485664, 2388605440),
        "mask_decoder": (4137088, 10380902400),
        "instance_decoder": (1423569, 156902400),
        "mask_product": (0, 81920000),
    },
}


def model_of(name: str) -> MobileInst:
    with torch.device("meta"):
        return MobileInst(get_config(name))


@pytest.mark.parametrize(("variant", "height", "width"), GOLDEN, ids=lambda value: str(value))
def test_golden_counts(variant: str, height: int, width: int) -> None:
    assert count(model_of(variant), height, width) == GOLDEN[variant, height, width]


def test_decoder_counts_equal_pencil_and_paper() -> None:
    config = small_config(num_queries=7)
    with torch.device("meta"):
        model = MobileInst(config)
    counts = count(model, 128, 192)
    width, queries, tokens, kernel = 32, 7, 2 * 3, 8
    # Two decoders: queries, keys, values and output projected, then scores and sums; once across, once among queries.
    cross = 2 * queries * width**2 + 2 * tokens * width**2 + 2 * queries * tokens * width
    own = 4 * queries * width**2 + 2 * queries**2 * width
    heads = queries * width * (config.num_classes + 1 + kernel)
    assert counts["instance_decoder"].macs == 2 * (cross + own) + 2 * queries * width * 2 * width + heads
    assert counts["mask_product"] == Count(0, queries * kernel * 16 * 24)
    third, fourth, fifth, sixth = 16 * 24, 8 * 12, 4 * 6, 2 * 3
    laterals = width * (32 * third + 64 * fourth + 96 * fifth + 208 * sixth)
    convolutions = 2 * 9 * width**2 * (third + fourth + fifth)
    enhancers = 2 * width**2 * (fifth + 2 * sixth)
    assert counts["mask_decoder"].macs == laterals + convolutions + enhancers + width * kernel * third


def test_sums_are_the_whole_and_the_model_is_untouched() -> None:
    model = MobileInst(small_config()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    counts = count(model, 64, 64)
    assert count_total(model, 64, 64) == total(counts)
    assert total(counts).parameters == sum(parameter.numel() for parameter in model.parameters())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_a_model_does_itself_is_other() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1, bias=False)
            self.weight = nn.Parameter(torch.zeros(4, 5))

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return self.conv(image).flatten(2).transpose(1, 2) @ self.weight

    assert count(Model(), 2, 3) == {"conv": Count(12, 12 * 6), "other": Count(20, 20 * 6)}


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="0x5"):
        count(MobileInst(small_config()), 0, 5)

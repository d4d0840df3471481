from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from reference_model.config import get_config
from reference_model.mobileinst import MobileInst
from suite.export.artifact import GraphArtifact
from suite.export.counts import count, count_graph

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


def test_counts_of_one_convolution_are_those_on_paper(make_graph: Callable[..., GraphArtifact]) -> None:
    counts = count_graph(make_graph(channels=8).path)
    assert counts.parameters == 8 * 3 * 3 * 3
    assert counts.macs == 8 * 3 * 3 * 3 * 24 * 24
    assert counts.operators == {"Conv": 1, "Identity": 1}
    # The image, the copy of the weights that the graph makes, and the masks are alive at once.
    assert counts.peak_tensor_bytes == 4 * (3 * 24 * 24 + 8 * 27 + 8 * 24 * 24)

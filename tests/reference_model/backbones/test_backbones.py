"""What holds for every backbone: sizes, widths, initial weights, training, memory formats, exportable pooling."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from reference_model.backbones import BACKBONE_NAMES, Backbone, build_backbone
from reference_model.backbones.blocks import ConvNorm, DropPath, drop_path_schedule

WIDTHS = {
    "topformer_tiny": (32, 64, 96, 208),
    "topformer_small": (48, 96, 128, 296),
    "topformer_base": (64, 128, 160, 384),
    "seaformer_tiny": (32, 64, 128, 160),
    "seaformer_small": (48, 96, 160, 192),
    "seaformer_base": (64, 128, 192, 256),
    "seaformer_large": (128, 192, 256, 320),
    "mobilenetv2": (32, 96, 320, 256),
}


@cache
def shapes_only(name: str, inject: bool = False) -> Backbone:
    """A backbone without weights: it computes shapes and nothing else."""
    with torch.device("meta"):
        return build_backbone(name, inject).eval()


class Operators(TorchDispatchMode):
    """Records the names of the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", BACKBONE_NAMES)
@pytest.mark.parametrize("size", [(333, 641), (1, 1500)])
def test_maps_have_the_strides_and_widths_they_promise(name: str, size: tuple[int, int]) -> None:
    backbone = shapes_only(name)
    assert backbone.out_channels == WIDTHS[name]
    expected = [
        (2, channels, *(math.ceil(side / stride) for side in size))
        for channels, stride in zip(WIDTHS[name], (8, 16, 32, 64), strict=True)
    ]
    assert [tuple(feature.shape) for feature in backbone(torch.empty(2, 3, *size, device="meta"))] == expected


@pytest.mark.parametrize(
    ("name", "width"), [("topformer_tiny", 128), ("topformer_small", 192), ("topformer_base", 256)]
)
def test_injection_makes_the_local_maps_equally_wide(name: str, width: int) -> None:
    backbone = shapes_only(name, inject=True)
    maps = backbone(torch.empty(1, 3, 70, 200, device="meta"))
    assert backbone.out_channels == (width, width, width, WIDTHS[name][3])
    assert [tuple(feature.shape[1:]) for feature in maps[:3]] == [(width, 9, 25), (width, 5, 13), (width, 3, 7)]


@pytest.mark.parametrize("name", BACKBONE_NAMES)
def test_convolutions_start_as_upstream_draws_them(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name)
    drawn = 0
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 4000:
            side, out = module.kernel_size[0], module.out_channels
            assert module.weight.std().item() == pytest.approx(
                math.sqrt(2 * module.groups / (side * side * out)), rel=0.1
            )
            assert abs(module.weight.mean().item()) < 4 * module.weight.std().item() / math.sqrt(module.weight.numel())
            drawn += 1
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            assert not module.bias.any()
        if isinstance(module, nn.BatchNorm2d):
            assert module.eps == 1e-5
            assert module.weight.unique().numel() == 1
    assert drawn > 5


def test_attention_starts_without_a_say() -> None:
    """TopFormer's attention adds nothing at first; SeaFormer's gates its detail branch by hsigmoid(0) = 1/2."""
    image = torch.randn(1, 3, 96, 128)
    topformer = build_backbone("topformer_tiny").eval()
    tokens = torch.randn(1, 208, 2, 3)
    assert not topformer.get_submodule("trunk.0.attention")(tokens).any()
    seaformer = build_backbone("seaformer_tiny").eval()
    scales = [
        module.norm.weight
        for path, module in seaformer.named_modules()
        if isinstance(module, ConvNorm) and path.endswith(("attention.output", "rows.output", "columns.output"))
    ]
    assert len(scales) == 3 * 4
    assert not torch.cat(scales).any()
    assert all(torch.isfinite(feature).all() for feature in seaformer(image))


@pytest.mark.parametrize(
    ("name", "inject"), [("topformer_tiny", True), ("seaformer_tiny", False), ("mobilenetv2", False)]
)
@pytest.mark.parametrize("size", [(128, 192), (97, 133)])
def test_channels_last_gives_the_same_maps(name: str, inject: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name, inject).double().eval()
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        plain = backbone(image)
        last = backbone.to(memory_format=torch.channels_last)(image.contiguous(memory_format=torch.channels_last))
    for one, other in zip(plain, last, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", BACKBONE_NAMES)
def test_pooling_is_plain_where_runtimes_need_it(name: str) -> None:
    backbone = build_backbone(name, inject=name.startswith("topformer")).eval()
    with torch.no_grad(), Operators() as aligned:
        backbone(torch.zeros(1, 3, 64, 128))
    assert not {operator for operator in aligned.names if "adaptive" in operator}
    if name.startswith("topformer"):
        with torch.no_grad(), Operators() as uneven:
            backbone(torch.zeros(1, 3, 64, 100))
        assert "_adaptive_avg_pool2d" in uneven.names
        assert "avg_pool2d" not in uneven.names


def test_drop_path_drops_whole_samples_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    layer = DropPath(0.25)
    branch = torch.rand(4000, 2, 3) + 1
    dropped: Tensor = layer(branch)
    gone = (dropped == 0).flatten(1)
    assert torch.equal(gone.any(dim=1), gone.all(dim=1))
    assert gone.all(dim=1).double().mean().item() == pytest.approx(0.25, abs=0.03)
    kept = ~gone.all(dim=1)
    torch.testing.assert_close(dropped[kept], branch[kept] / 0.75)
    assert layer.eval()(branch) is branch


@pytest.mark.parametrize(
    ("name", "schedule"), [("topformer_tiny", [0, 1 / 30, 2 / 30, 0.1]), ("seaformer_large", [0, 0.05, 0.1] * 3)]
)
def test_drop_path_grows_evenly_over_each_stage(name: str, schedule: list[float]) -> None:
    found = [module.probability for module in build_backbone(name).modules() if isinstance(module, DropPath)]
    assert found == pytest.approx(schedule)
    assert drop_path_schedule(0.1, 1) == [0.0]

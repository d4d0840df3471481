"""MobileInst itself: one entry per variant of the reference model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reference_model.config import VARIANTS, ModelConfig
from suite.models import ModelEntry
from suite.seeds import derive_seed

if TYPE_CHECKING:
    from torch import nn

    from suite.models.parts.selection import Selection

PUBLISHED_ROWS = {
    "mobileinst_mobilenetv2_640": ("table1/mobileinst-mobilenetv2-640",),
    "mobileinst_topformer_base_512": ("table1/mobileinst-topformer-base-512",),
    "mobileinst_topformer_base_640": ("table1/mobileinst-topformer-base-640",),
    "mobileinst_seaformer_base_640": ("table1/mobileinst-seaformer-640",),
    "mobileinst_topformer_base_360": (
        "table2/2019/mobileinst-topformer-base",
        "table2/2021/mobileinst-topformer-base",
    ),
}
"""Rows of the claims by variant. The paper's SeaFormer row does not name the size; Base is read from the context."""

BACKBONE_TITLES = {"topformer": "TopFormer", "seaformer": "SeaFormer", "mobilenetv2": "MobileNetV2"}
SQUARE_FROM_PX = 512


def backbone_title(backbone: str) -> str:
    """Return a backbone's name as the paper prints it: ``"topformer_base"`` is ``"TopFormer-Base"``."""
    family, _, size = backbone.partition("_")
    return "-".join([BACKBONE_TITLES[family], *([size.capitalize()] if size else [])])


def input_shapes(config: ModelConfig) -> tuple[tuple[int, int], ...]:
    """Return the shapes a variant is counted and timed at.

    First short side x longest long side, each rounded up to 32 px: the published latencies scale with the short side,
    so they are at a fixed long side. For images also the square of the short side, which other papers count at.
    """
    short, long = (-(-side // 32) * 32 for side in (config.short_side_px, config.long_side_px))
    squares = ((short, short),) if short >= SQUARE_FROM_PX else ()
    return ((short, long), *squares)


def build(config: ModelConfig, seed: int) -> nn.Module:
    """Return a variant in evaluation mode with weights drawn from ``seed`` and its name only."""
    import torch

    from reference_model.mobileinst import MobileInst

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, f"models/{config.name}"))
        return MobileInst(config).eval()


def select(config: ModelConfig, height_px: int, width_px: int, seed: int) -> Selection:
    """Return MobileInst's selection, which is SparseInst's, for the comparison with prior art."""
    from suite.models.parts.selection import sigmoid_query_selection

    return sigmoid_query_selection(config.num_classes, config.num_queries, (height_px // 4, width_px // 4), seed)


def describe(config: ModelConfig) -> str:
    """Return a variant's line for lists."""
    return (
        f"MobileInst with {backbone_title(config.backbone)}, {config.num_classes} classes, "
        f"{config.num_queries} queries, width {config.hidden_dim}, short side {config.short_side_px} px"
    )


ENTRIES: tuple[ModelEntry, ...] = tuple(
    ModelEntry(
        name=config.name,
        description=describe(config),
        method="MobileInst",
        backbone=backbone_title(config.backbone),
        input_shapes=input_shapes(config),
        num_classes=config.num_classes,
        build=partial(build, config),
        published_rows=PUBLISHED_ROWS.get(config.name, ()),
        selection=partial(select, config),
    )
    for config in VARIANTS.values()
)

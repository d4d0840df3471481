"""MobileInst itself: every variant of the reference model, with its rows of the paper's tables.

A variant is counted and timed first at short side x longest long side, each rounded up to 32 px: the published
latencies scale with the short side, so they are at a fixed long side. For images also at the square of the short side,
which other papers count at. The paper's SeaFormer row does not name the size; Base is read from the context.
"""

from __future__ import annotations

from reference_model.config import VARIANTS
from reference_model.mobileinst import MobileInst
from suite.models import ModelEntry
from suite.models.parts.selection import Selection, sigmoid_query_selection

ROWS = (
    ModelEntry(
        name="mobileinst_mobilenetv2_640",
        method="MobileInst",
        backbone="MobileNetV2",
        published_rows=("table1/mobileinst-mobilenetv2-640",),
    ),
    ModelEntry(
        name="mobileinst_seaformer_base_640",
        method="MobileInst",
        backbone="SeaFormer-Base",
        published_rows=("table1/mobileinst-seaformer-640",),
    ),
    ModelEntry(
        name="mobileinst_seaformer_large_640",
        method="MobileInst",
        backbone="SeaFormer-Large",
    ),
    ModelEntry(
        name="mobileinst_seaformer_small_640",
        method="MobileInst",
        backbone="SeaFormer-Small",
    ),
    ModelEntry(
        name="mobileinst_seaformer_tiny_640",
        method="MobileInst",
        backbone="SeaFormer-Tiny",
    ),
    ModelEntry(
        name="mobileinst_topformer_base_360",
        method="MobileInst",
        backbone="TopFormer-Base",
        input_shapes=((384, 640),),
        num_classes=40,
        published_rows=("table2/2019/mobileinst-topformer-base", "table2/2021/mobileinst-topformer-base"),
    ),
    ModelEntry(
        name="mobileinst_topformer_base_512",
        method="MobileInst",
        backbone="TopFormer-Base",
        input_shapes=((512, 864), (512, 512)),
        published_rows=("table1/mobileinst-topformer-base-512",),
    ),
    ModelEntry(
        name="mobileinst_topformer_base_640",
        method="MobileInst",
        backbone="TopFormer-Base",
        published_rows=("table1/mobileinst-topformer-base-640",),
    ),
    ModelEntry(
        name="mobileinst_topformer_base_640_twelve",
        method="MobileInst",
        backbone="TopFormer-Base",
    ),
    ModelEntry(
        name="mobileinst_topformer_small_640",
        method="MobileInst",
        backbone="TopFormer-Small",
    ),
    ModelEntry(
        name="mobileinst_topformer_tiny_640",
        method="MobileInst",
        backbone="TopFormer-Tiny",
    ),
    ModelEntry(
        name="mobileinst_topformer_tiny_shapes",
        method="MobileInst",
        backbone="TopFormer-Tiny",
        input_shapes=((128, 192),),
        num_classes=6,
    ),
)


def build(row: ModelEntry) -> MobileInst:
    """Return the variant that a row names with random weights."""
    return MobileInst(VARIANTS[row.name])


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return MobileInst's selection, which is SparseInst's, for the comparison with prior art."""
    queries = VARIANTS[row.name].num_queries
    return sigmoid_query_selection(row.num_classes, queries, (height_px // 4, width_px // 4), seed)

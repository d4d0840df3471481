"""YOLACT's rows of Table 1."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import INJECTED, dense_selection, prior_art

WARPED = "pictures are warped to a square, so the shape is certain"
_entry = partial(
    prior_art,
    method="YOLACT",
    network="yolact:Yolact",
    input_shapes=((550, 550),),
    masks_apart=True,
    selection=partial(dense_selection, "yolact_selection"),
)

ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        name="yolact_resnet50_550",
        trunk="resnet50",
        backbone="ResNet-50",
        reading=WARPED,
        published_rows=("table1/yolact-resnet-50-550",),
    ),
    _entry(
        name="yolact_mobilenetv2_550",
        trunk="mobilenetv2_edge",
        backbone="MobileNetV2",
        reading=f"YolactEdge's taps of 32, 64 and 160 channels, whose published AP the row repeats; {WARPED}",
        published_rows=("table1/yolact-mobilenetv2-550",),
    ),
    _entry(
        name="yolact_topformer_base_550",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        reading=f"{INJECTED}; {WARPED}",
        published_rows=("table1/yolact-topformer-base-550",),
    ),
)

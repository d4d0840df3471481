"""YOLACT's rows of Table 1."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

SHAPES_550 = ((550, 550),)
WARPED = "pictures are warped to a square, so the shape is certain"


def select(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return YOLACT's selection at an input size."""
    from suite.models.parts.dense_selection import yolact_selection

    return yolact_selection(num_classes, height_px, width_px, seed)


def _entry(name: str, trunk: str, backbone: str, reading: str, row: str) -> ModelEntry:
    return prior_art(
        name=name,
        method="YOLACT",
        backbone=backbone,
        input_shapes=SHAPES_550,
        network="yolact:Yolact",
        options={"trunk": trunk},
        reading=reading,
        published_rows=(row,),
        masks_apart=True,
        selection=partial(select, COCO_CLASSES),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry("yolact_resnet50_550", "resnet50", "ResNet-50", WARPED, "table1/yolact-resnet-50-550"),
    _entry(
        "yolact_mobilenetv2_550",
        "mobilenetv2_edge",
        "MobileNetV2",
        f"YolactEdge's taps of 32, 64 and 160 channels, whose published AP the row repeats; {WARPED}",
        "table1/yolact-mobilenetv2-550",
    ),
    _entry(
        "yolact_topformer_base_550",
        "topformer_base",
        "TopFormer-Base",
        f"TopFormer's maps after semantic injection; {WARPED}",
        "table1/yolact-topformer-base-550",
    ),
)

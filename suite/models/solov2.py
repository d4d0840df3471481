"""SOLOv2's and SOLOv2-Lite's rows of Table 1."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

SHAPES_448 = ((448, 768), (448, 608))
SHAPES_640 = ((640, 864), (640, 640))
LITE = "the authors' light head (2 x 256 channels, kernels of 128); no deformable convolution"
FULL = "the full head (4 x 512 channels, kernels of 256): the name has no Lite and the published latency fits only this"


def select(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return SOLOv2's selection at an input size."""
    from suite.models.parts.dense_selection import solov2_selection

    return solov2_selection(num_classes, height_px, width_px, seed)


def _entry(
    name: str,
    trunk: str,
    backbone: str,
    shapes: tuple[tuple[int, int], ...],
    lite: bool,
    reading: str,
    row: str = "",
    alternative_to: str = "",
) -> ModelEntry:
    return prior_art(
        name=name,
        method="SOLOv2-Lite" if lite else "SOLOv2",
        backbone=backbone,
        input_shapes=shapes,
        network="solov2:Solov2",
        options={"trunk": trunk, "lite": lite},
        reading=reading,
        published_rows=(row,) if row else (),
        alternative_to=alternative_to,
        masks_apart=True,
        selection=partial(select, COCO_CLASSES),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "solov2_lite_resnet18_448", "resnet18", "ResNet-18", SHAPES_448, True, LITE, "table1/solov2-lite-resnet-18-448"
    ),
    _entry(
        "solov2_lite_resnet50_448", "resnet50", "ResNet-50", SHAPES_448, True, LITE, "table1/solov2-lite-resnet-50-448"
    ),
    _entry(
        "solov2_mobilenetv2_640",
        "mobilenetv2",
        "MobileNetV2",
        SHAPES_640,
        False,
        f"{FULL}; nobody published this model, its input shape is inferred",
        "table1/solov2-mobilenetv2-640",
    ),
    _entry(
        "solov2_lite_mobilenetv2_640",
        "mobilenetv2",
        "MobileNetV2",
        SHAPES_640,
        True,
        f"{LITE}; faster than the published latency allows",
        alternative_to="solov2_mobilenetv2_640",
    ),
)

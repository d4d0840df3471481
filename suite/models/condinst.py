"""CondInst's rows of Table 1."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

INJECTED = "TopFormer's maps after semantic injection"


def select(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return CondInst's and CrossVIS's selection at an input size."""
    from suite.models.parts.dense_selection import condinst_selection

    return condinst_selection(num_classes, height_px, width_px, seed)


def _entry(
    name: str,
    trunk: str,
    backbone: str,
    shapes: tuple[tuple[int, int], ...],
    reading: str,
    row: str = "",
    alternative_to: str = "",
) -> ModelEntry:
    return prior_art(
        name=name,
        method="CondInst",
        backbone=backbone,
        input_shapes=shapes,
        network="condinst:CondInst",
        options={"trunk": trunk},
        reading=reading,
        published_rows=(row,) if row else (),
        alternative_to=alternative_to,
        masks_apart=True,
        selection=partial(select, COCO_CLASSES),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "condinst_resnet50_800",
        "resnet50_msra",
        "ResNet-50",
        ((800, 1344), (800, 1088)),
        "short side 800 px and the longest side that the authors' configuration allows",
        "table1/condinst-resnet-50-800",
    ),
    _entry(
        "condinst_resnet50_800x1088",
        "resnet50_msra",
        "ResNet-50",
        ((800, 1088),),
        "a 4:3 picture of short side 800 px; further from the published latency",
        alternative_to="condinst_resnet50_800",
    ),
    _entry(
        "condinst_topformer_base_640",
        "topformer_base",
        "TopFormer-Base",
        ((640, 864), (640, 640)),
        f"{INJECTED}; the shape of the other methods at 640 px, the smaller of two",
        "table1/condinst-topformer-base-640",
    ),
    _entry(
        "condinst_topformer_base_640x1088",
        "topformer_base",
        "TopFormer-Base",
        ((640, 1088),),
        f"{INJECTED}; CondInst's own long side, which fits the published latency better",
        alternative_to="condinst_topformer_base_640",
    ),
)

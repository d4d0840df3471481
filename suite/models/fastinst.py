"""FastInst's row of Table 1: three decoder layers, or one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

SHAPES_640 = ((640, 864), (640, 640))
DEFAULT = "fastinst_topformer_base_640"


def select(height_px: int, width_px: int, seed: int) -> Selection:
    """Return FastInst's selection at an input size."""
    from suite.models.parts.selection import softmax_query_selection

    return softmax_query_selection(COCO_CLASSES, 100, (height_px // 8, width_px // 8), seed)


def _entry(name: str, layers: int, reading: str) -> ModelEntry:
    default = name == DEFAULT
    return prior_art(
        name=name,
        method="FastInst",
        backbone="TopFormer-Base",
        input_shapes=SHAPES_640,
        network="fastinst:FastInst",
        options={"trunk": "topformer_base", "num_classes": COCO_CLASSES, "layers": layers},
        reading=reading,
        published_rows=("table1/fastinst-topformer-base-640",) if default else (),
        alternative_to="" if default else DEFAULT,
        selection=partial(select),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        DEFAULT, 3, "D3, three decoder layers: upstream's model of this input size, and what the published 965 ms fits"
    ),
    _entry(f"{DEFAULT}_d1", 1, "D1, one decoder layer, upstream's fastest model"),
)

"""Mask2Former's row of Table 1, re-implemented by the paper's authors: three readings of its pixel decoder."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

SHAPES_640 = ((640, 864), (640, 640))
DEFAULT = "mask2former_topformer_base_640"


def select(height_px: int, width_px: int, seed: int) -> Selection:
    """Return Mask2Former's selection at an input size."""
    from suite.models.parts.selection import softmax_query_selection

    return softmax_query_selection(COCO_CLASSES, 100, (height_px // 4, width_px // 4), seed)


def _entry(name: str, pixel_decoder: str, reading: str) -> ModelEntry:
    default = name == DEFAULT
    return prior_art(
        name=name,
        method="Mask2Former",
        backbone="TopFormer-Base",
        input_shapes=SHAPES_640,
        network="mask2former:Mask2Former",
        options={"trunk": "topformer_base", "num_classes": COCO_CLASSES, "pixel_decoder": pixel_decoder},
        reading=reading,
        published_rows=("table1/mask2former-topformer-base-640",) if default else (),
        alternative_to="" if default else DEFAULT,
        selection=partial(select),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        DEFAULT,
        "fpn",
        "lightened: plain top-down sums in place of the six deformable encoder layers, the cheapest reading and the "
        "one that the published 930 ms fits",
    ),
    _entry(
        f"{DEFAULT}_context_pyramid",
        "context_pyramid",
        "lightened: FastInst's pixel decoder (pyramid pooling, top-down 3x3), as FastInst's paper describes its rival",
    ),
    _entry(
        f"{DEFAULT}_deformable",
        "deformable",
        "complete: with upstream's six layers of deformable attention, which the published 930 ms cannot contain",
    ),
)

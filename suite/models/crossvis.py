"""CrossVIS's rows of Table 2: the network of one frame."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import INJECTED, YOUTUBE_VIS_CLASSES, prior_art
from suite.models.condinst import select

PER_FRAME = "one frame of 360x640 padded to 384x640; linking frames is not in it"
_entry = partial(
    prior_art,
    method="CrossVIS",
    network="crossvis:CrossVis",
    input_shapes=((384, 640),),
    num_classes=YOUTUBE_VIS_CLASSES,
    masks_apart=True,
    selection=select,
)

ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        name="crossvis_resnet50_360",
        trunk="resnet50_msra",
        backbone="ResNet-50",
        reading=PER_FRAME,
        published_rows=("table2/2019/crossvis-resnet-50", "table2/2021/crossvis-resnet-50"),
    ),
    _entry(
        name="crossvis_topformer_base_360",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        reading=f"{INJECTED}; {PER_FRAME}",
        published_rows=("table2/2019/crossvis-topformer-base", "table2/2021/crossvis-topformer-base"),
    ),
)

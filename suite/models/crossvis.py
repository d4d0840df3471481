"""CrossVIS's rows of Table 2: the network of one frame."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import prior_art
from suite.models.condinst import INJECTED, select

YOUTUBE_VIS_CLASSES = 40
SHAPES_360 = ((384, 640),)
PER_FRAME = "one frame of 360x640 padded to 384x640; linking frames is not in it"


def _entry(name: str, trunk: str, backbone: str, reading: str, rows: tuple[str, ...]) -> ModelEntry:
    return prior_art(
        name=name,
        method="CrossVIS",
        backbone=backbone,
        input_shapes=SHAPES_360,
        network="crossvis:CrossVis",
        options={"trunk": trunk, "num_classes": YOUTUBE_VIS_CLASSES},
        reading=reading,
        published_rows=rows,
        num_classes=YOUTUBE_VIS_CLASSES,
        masks_apart=True,
        selection=partial(select, YOUTUBE_VIS_CLASSES),
    )


ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        "crossvis_resnet50_360",
        "resnet50_msra",
        "ResNet-50",
        PER_FRAME,
        ("table2/2019/crossvis-resnet-50", "table2/2021/crossvis-resnet-50"),
    ),
    _entry(
        "crossvis_topformer_base_360",
        "topformer_base",
        "TopFormer-Base",
        f"{INJECTED}; {PER_FRAME}",
        ("table2/2019/crossvis-topformer-base", "table2/2021/crossvis-topformer-base"),
    ),
)

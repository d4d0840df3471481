"""SparseInst's rows of Table 1 and SparseInst-VIS of Table 2."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from suite.models import ModelEntry
from suite.models._prior_art import COCO_CLASSES, prior_art

if TYPE_CHECKING:
    from suite.models.parts.selection import Selection

YOUTUBE_VIS_CLASSES = 40
SHAPES_608 = ((608, 864), (608, 832), (608, 608))
SHAPES_360 = ((384, 640),)
GROUPED = "GroupIAM, the authors' default"
BASE = "BaseIAM"
INJECTED = "TopFormer's maps after semantic injection"


def select(num_classes: int, height_px: int, width_px: int, seed: int) -> Selection:
    """Return SparseInst's selection at an input size."""
    from suite.models.parts.selection import sigmoid_query_selection

    return sigmoid_query_selection(num_classes, 100, (height_px // 4, width_px // 4), seed)


def _entry(
    name: str,
    trunk: str,
    backbone: str,
    reading: str,
    rows: tuple[str, ...] = (),
    alternative_to: str = "",
    grouped: bool = True,
    video: bool = False,
) -> ModelEntry:
    classes = YOUTUBE_VIS_CLASSES if video else COCO_CLASSES
    return prior_art(
        name=name,
        method="SparseInst-VIS" if video else "SparseInst",
        backbone=backbone,
        input_shapes=SHAPES_360 if video else SHAPES_608,
        network="sparseinst:SparseInst",
        options={"trunk": trunk, "num_classes": classes, "grouped": grouped},
        reading=reading,
        published_rows=rows,
        alternative_to=alternative_to,
        num_classes=classes,
        selection=partial(select, classes),
    )


VIDEO_ROWS = ("table2/2019/sparseinst-vis-topformer-base", "table2/2021/sparseinst-vis-topformer-base")
ENTRIES: tuple[ModelEntry, ...] = (
    _entry("sparseinst_resnet50_608", "resnet50", "ResNet-50", GROUPED, rows=("table1/sparseinst-resnet-50-608",)),
    _entry(
        "sparseinst_resnet50_608_base_iam",
        "resnet50",
        "ResNet-50",
        BASE,
        alternative_to="sparseinst_resnet50_608",
        grouped=False,
    ),
    _entry(
        "sparseinst_topformer_base_608",
        "topformer_base",
        "TopFormer-Base",
        f"{GROUPED}; {INJECTED}",
        rows=("table1/sparseinst-topformer-base-608",),
    ),
    _entry(
        "sparseinst_topformer_base_608_base_iam",
        "topformer_base",
        "TopFormer-Base",
        f"{BASE}; {INJECTED}",
        alternative_to="sparseinst_topformer_base_608",
        grouped=False,
    ),
    _entry(
        "sparseinst_vis_topformer_base_360",
        "topformer_base",
        "TopFormer-Base",
        f"per frame SparseInst with {GROUPED}; {INJECTED}; no code was released",
        rows=VIDEO_ROWS,
        video=True,
    ),
    _entry(
        "sparseinst_vis_topformer_base_360_base_iam",
        "topformer_base",
        "TopFormer-Base",
        f"per frame SparseInst with {BASE}; {INJECTED}; no code was released",
        alternative_to="sparseinst_vis_topformer_base_360",
        grouped=False,
        video=True,
    ),
)

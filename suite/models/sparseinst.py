"""SparseInst's rows of Table 1 and SparseInst-VIS of Table 2."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import INJECTED, YOUTUBE_VIS_CLASSES, prior_art, query_selection

GROUPED = "GroupIAM, the authors' default"
BASE = "BaseIAM"
_entry = partial(
    prior_art,
    network="sparseinst:SparseInst",
    selection=partial(query_selection, "sigmoid_query_selection", 4),
)
_image = partial(_entry, method="SparseInst", input_shapes=((608, 864), (608, 832), (608, 608)))
_video = partial(
    _entry,
    method="SparseInst-VIS",
    input_shapes=((384, 640),),
    num_classes=YOUTUBE_VIS_CLASSES,
    trunk="topformer_base",
    backbone="TopFormer-Base",
)

ENTRIES: tuple[ModelEntry, ...] = (
    _image(
        name="sparseinst_resnet50_608",
        trunk="resnet50",
        backbone="ResNet-50",
        options={"grouped": True},
        reading=GROUPED,
        published_rows=("table1/sparseinst-resnet-50-608",),
    ),
    _image(
        name="sparseinst_resnet50_608_base_iam",
        trunk="resnet50",
        backbone="ResNet-50",
        options={"grouped": False},
        reading=BASE,
        alternative_to="sparseinst_resnet50_608",
    ),
    _image(
        name="sparseinst_topformer_base_608",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        options={"grouped": True},
        reading=f"{GROUPED}; {INJECTED}",
        published_rows=("table1/sparseinst-topformer-base-608",),
    ),
    _image(
        name="sparseinst_topformer_base_608_base_iam",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        options={"grouped": False},
        reading=f"{BASE}; {INJECTED}",
        alternative_to="sparseinst_topformer_base_608",
    ),
    _video(
        name="sparseinst_vis_topformer_base_360",
        options={"grouped": True},
        reading=f"per frame SparseInst with {GROUPED}; {INJECTED}; no code was released",
        published_rows=("table2/2019/sparseinst-vis-topformer-base", "table2/2021/sparseinst-vis-topformer-base"),
    ),
    _video(
        name="sparseinst_vis_topformer_base_360_base_iam",
        options={"grouped": False},
        reading=f"per frame SparseInst with {BASE}; {INJECTED}; no code was released",
        alternative_to="sparseinst_vis_topformer_base_360",
    ),
)

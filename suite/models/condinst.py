"""CondInst's rows of Table 1."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import INJECTED, dense_selection, prior_art

select = partial(dense_selection, "condinst_selection")
"""CrossVIS selects alike."""
_entry = partial(prior_art, method="CondInst", network="condinst:CondInst", masks_apart=True, selection=select)

ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        name="condinst_resnet50_800",
        trunk="resnet50_msra",
        backbone="ResNet-50",
        input_shapes=((800, 1344), (800, 1088)),
        reading="short side 800 px and the longest side that the authors' configuration allows",
        published_rows=("table1/condinst-resnet-50-800",),
    ),
    _entry(
        name="condinst_resnet50_800x1088",
        trunk="resnet50_msra",
        backbone="ResNet-50",
        input_shapes=((800, 1088),),
        reading="a 4:3 picture of short side 800 px; further from the published latency",
        alternative_to="condinst_resnet50_800",
    ),
    _entry(
        name="condinst_topformer_base_640",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        input_shapes=((640, 864), (640, 640)),
        reading=f"{INJECTED}; the shape of the other methods at 640 px, the smaller of two",
        published_rows=("table1/condinst-topformer-base-640",),
    ),
    _entry(
        name="condinst_topformer_base_640x1088",
        trunk="topformer_base",
        backbone="TopFormer-Base",
        input_shapes=((640, 1088),),
        reading=f"{INJECTED}; CondInst's own long side, which fits the published latency better",
        alternative_to="condinst_topformer_base_640",
    ),
)

"""FastInst's row of Table 1: three decoder layers, or one."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import prior_art, query_selection

DEFAULT = "fastinst_topformer_base_640"
_entry = partial(
    prior_art,
    method="FastInst",
    network="fastinst:FastInst",
    trunk="topformer_base",
    backbone="TopFormer-Base",
    input_shapes=((640, 864), (640, 640)),
    selection=partial(query_selection, "softmax_query_selection", 8),
)

ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        name=DEFAULT,
        options={"layers": 3},
        reading="D3, three decoder layers: upstream's model of this input size, and what the published 965 ms fits",
        published_rows=("table1/fastinst-topformer-base-640",),
    ),
    _entry(
        name=f"{DEFAULT}_d1",
        options={"layers": 1},
        reading="D1, one decoder layer, upstream's fastest model",
        alternative_to=DEFAULT,
    ),
)

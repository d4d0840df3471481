"""Mask2Former's row of Table 1, re-implemented by the paper's authors: three readings of its pixel decoder."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import prior_art, query_selection

DEFAULT = "mask2former_topformer_base_640"
_entry = partial(
    prior_art,
    method="Mask2Former",
    network="mask2former:Mask2Former",
    trunk="topformer_base",
    backbone="TopFormer-Base",
    input_shapes=((640, 864), (640, 640)),
    selection=partial(query_selection, "softmax_query_selection", 4),
)

ENTRIES: tuple[ModelEntry, ...] = (
    _entry(
        name=DEFAULT,
        options={"pixel_decoder": "fpn"},
        reading="lightened: plain top-down sums in place of the six deformable encoder layers, the cheapest reading "
        "and the one that the published 930 ms fits",
        published_rows=("table1/mask2former-topformer-base-640",),
    ),
    _entry(
        name=f"{DEFAULT}_context_pyramid",
        options={"pixel_decoder": "context_pyramid"},
        reading="lightened: FastInst's pixel decoder (pyramid pooling, top-down 3x3), as FastInst's paper describes "
        "its rival",
        alternative_to=DEFAULT,
    ),
    _entry(
        name=f"{DEFAULT}_deformable",
        options={"pixel_decoder": "deformable"},
        reading="complete: with upstream's six layers of deformable attention, which the published 930 ms cannot "
        "contain",
        alternative_to=DEFAULT,
    ),
)

"""CrossVIS on one frame: CondInst with a third tower whose embeddings tell instances apart across frames.

Yang et al., "Crossover Learning for Fast Online Video Instance Segmentation", ICCV 2021. Crossover learning itself and
the classifier of identities belong to training; linking frames is a greedy match of at most 100 embeddings outside the
network.
"""

from __future__ import annotations

from suite.models import ModelEntry, condinst
from suite.models.condinst import CondInst
from suite.models.parts.selection import Selection
from suite.models.parts.synthetic import draw_weights

ROWS = (
    ModelEntry(
        name="crossvis_resnet50_360",
        method="CrossVIS",
        backbone="ResNet-50",
        trunk="resnet50_msra",
        input_shapes=((384, 640),),
        num_classes=40,
        masks_apart=True,
        reading="one frame of 360x640 padded to 384x640; linking frames is not in it",
        published_rows=("table2/2019/crossvis-resnet-50", "table2/2021/crossvis-resnet-50"),
    ),
    ModelEntry(
        name="crossvis_topformer_base_360",
        method="CrossVIS",
        backbone="TopFormer-Base",
        trunk="topformer_base",
        input_shapes=((384, 640),),
        num_classes=40,
        masks_apart=True,
        reading="TopFormer's maps after semantic injection; "
        "one frame of 360x640 padded to 384x640; linking frames is not in it",
        published_rows=("table2/2019/crossvis-topformer-base", "table2/2021/crossvis-topformer-base"),
    ),
)


def build(row: ModelEntry) -> CondInst:
    """Return the network of a row with random weights."""
    return draw_weights(CondInst(row.trunk, row.num_classes, embeddings=True))


def select(row: ModelEntry, height_px: int, width_px: int, seed: int) -> Selection:
    """Return CrossVIS's selection, which is CondInst's."""
    return condinst.select(row, height_px, width_px, seed)

"""SOLOv2's and SOLOv2-Lite's rows of Table 1."""

from __future__ import annotations

from functools import partial

from suite.models import ModelEntry
from suite.models._prior_art import dense_selection, prior_art

SHAPES_448 = ((448, 768), (448, 608))
SHAPES_640 = ((640, 864), (640, 640))
LITE = "the authors' light head (2 x 256 channels, kernels of 128); no deformable convolution"
FULL = "the full head (4 x 512 channels, kernels of 256): the name has no Lite and the published latency fits only this"
_entry = partial(
    prior_art, network="solov2:Solov2", masks_apart=True, selection=partial(dense_selection, "solov2_selection")
)
_full = partial(_entry, method="SOLOv2", options={"lite": False})
_lite = partial(_entry, method="SOLOv2-Lite", options={"lite": True})

ENTRIES: tuple[ModelEntry, ...] = (
    _lite(
        name="solov2_lite_resnet18_448",
        trunk="resnet18",
        backbone="ResNet-18",
        input_shapes=SHAPES_448,
        reading=LITE,
        published_rows=("table1/solov2-lite-resnet-18-448",),
    ),
    _lite(
        name="solov2_lite_resnet50_448",
        trunk="resnet50",
        backbone="ResNet-50",
        input_shapes=SHAPES_448,
        reading=LITE,
        published_rows=("table1/solov2-lite-resnet-50-448",),
    ),
    _full(
        name="solov2_mobilenetv2_640",
        trunk="mobilenetv2",
        backbone="MobileNetV2",
        input_shapes=SHAPES_640,
        reading=f"{FULL}; nobody published this model, its input shape is inferred",
        published_rows=("table1/solov2-mobilenetv2-640",),
    ),
    _lite(
        name="solov2_lite_mobilenetv2_640",
        trunk="mobilenetv2",
        backbone="MobileNetV2",
        input_shapes=SHAPES_640,
        reading=f"{LITE}; faster than the published latency allows",
        alternative_to="solov2_mobilenetv2_640",
    ),
)

"""Backbones: an image to X3, X4, X5 and X6 at strides 8, 16, 32 and 64."""

from reference_model.backbones.base import Backbone
from reference_model.backbones.blocks import BackboneError
from reference_model.backbones.mobilenetv2 import MobileNetV2
from reference_model.backbones.official import OfficialCheckpointError
from reference_model.backbones.seaformer import SEAFORMER_CONFIGS, SeaFormer
from reference_model.backbones.topformer import TOPFORMER_CONFIGS, TopFormer

BACKBONE_NAMES = (*TOPFORMER_CONFIGS, *SEAFORMER_CONFIGS, "mobilenetv2")

__all__ = ["BACKBONE_NAMES", "Backbone", "BackboneError", "OfficialCheckpointError", "build_backbone"]


def build_backbone(name: str, inject: bool = False) -> Backbone:
    """Build a backbone with freshly drawn weights.

    Args:
        name: one of ``BACKBONE_NAMES``.
        inject: TopFormer only: return X3..X5 after semantic injection and not the raw pyramid.

    Returns:
        A module with ``out_channels`` (X3, X4, X5, X6), ``forward(image)`` giving these four maps,
        ``stage_features(image)`` giving every intermediate map, and ``load_official(state_dict)``.

    Raises:
        BackboneError: the name is unknown, or injection is asked of a backbone that has none.
    """
    if name not in BACKBONE_NAMES:
        raise BackboneError(f"unknown backbone {name!r}: known are {', '.join(BACKBONE_NAMES)}")
    if name in TOPFORMER_CONFIGS:
        return TopFormer(TOPFORMER_CONFIGS[name], inject)
    if inject:
        raise BackboneError(f"{name} has no semantic injection: only {', '.join(TOPFORMER_CONFIGS)} have")
    return SeaFormer(SEAFORMER_CONFIGS[name]) if name in SEAFORMER_CONFIGS else MobileNetV2()

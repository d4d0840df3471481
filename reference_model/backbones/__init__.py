"""Backbones: an image to X3, X4, X5 and X6 at strides 8, 16, 32 and 64."""

from reference_model.backbones.blocks import BackboneError
from reference_model.backbones.topformer import TOPFORMER_CONFIGS, TopFormer

BACKBONE_NAMES = (*TOPFORMER_CONFIGS,)

__all__ = ["BACKBONE_NAMES", "BackboneError", "TopFormer", "build_backbone"]


def build_backbone(name: str, inject: bool = False) -> TopFormer:
    """Build a backbone with freshly drawn weights.

    Args:
        name: one of ``BACKBONE_NAMES``.
        inject: TopFormer only: return X3..X5 after semantic injection and not the raw pyramid.

    Returns:
        A module with ``out_channels`` (X3, X4, X5, X6), ``forward(image)`` giving these four maps and
        ``stage_features(image)`` giving every intermediate map.

    Raises:
        BackboneError: the name is unknown.
    """
    if name in TOPFORMER_CONFIGS:
        return TopFormer(TOPFORMER_CONFIGS[name], inject)
    raise BackboneError(f"unknown backbone {name!r}: known are {', '.join(BACKBONE_NAMES)}")

"""Mixed precision: the model in bfloat16 or float16, matching and losses in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from reference_model.instance_decoder import InstancePrediction
from reference_model.mobileinst import FrameFeatures, MobileInst, MobileInstOutput

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _float32(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    return None if value is None else type(value)(*(_float32(part) for part in value))


class MixedPrecision(nn.Module):
    """The parts of a model that losses call, each under autocast, its outputs in float32.

    Args:
        model: its weights stay float32.
        precision: ``"fp32"``, ``"bf16"`` or ``"fp16"``.
        device_type: ``"cpu"`` or ``"cuda"``.
        compiled: whether the backbone and the mask decoder, which take most of the time, go through `torch.compile`.
    """

    def __init__(self, model: MobileInst, precision: str, device_type: str, compiled: bool = False) -> None:
        super().__init__()
        self.model = model
        self.compute_type, self.device_type = TYPES[precision], device_type
        self._encode = torch.compile(model.encode, dynamic=True) if compiled else model.encode

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device_type, self.compute_type, enabled=self.compute_type != torch.float32)

    def encode(self, images: Tensor) -> FrameFeatures:
        """As `MobileInst.encode`; features keep the low precision."""
        with self._autocast():
            features: FrameFeatures = self._encode(images)
        return features

    def segment(self, features: FrameFeatures) -> MobileInstOutput:
        """As `MobileInst.segment`, in float32."""
        with self._autocast():
            output: MobileInstOutput = _float32(self.model.segment(features))
        return output

    def decode_from_queries(self, global_queries: Tensor, features: FrameFeatures) -> InstancePrediction:
        """As `MobileInst.decode_from_queries`, in float32."""
        with self._autocast():
            prediction: InstancePrediction = _float32(self.model.decode_from_queries(global_queries, features))
        return prediction

    def with_masks(self, prediction: InstancePrediction, features: FrameFeatures) -> MobileInstOutput:
        """As `MobileInst.with_masks`, in float32."""
        with self._autocast():
            output: MobileInstOutput = _float32(self.model.with_masks(prediction, features))
        return output

    def forward(self, images: Tensor) -> MobileInstOutput:
        """As `MobileInst.forward`, in float32."""
        return self.segment(self.encode(images))

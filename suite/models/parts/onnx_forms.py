"""Operators of prior art in the form that runtimes run best, for `torch.onnx.export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reference_model.onnx_translations import TRANSLATIONS as POOLING_TRANSLATIONS

TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = dict(POOLING_TRANSLATIONS)
"""What `torch.onnx.export` takes as ``custom_translation_table``."""

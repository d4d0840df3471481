"""MobileInst (Zhang et al., AAAI 2024): instances of pictures and videos, fast enough for a phone.

    from reference_model import load

    model = load("model.safetensors")
    result = model("photo.jpg")  # a path, an array or a Pillow image
    for frame in model.track("clip.mp4"):
        print(frame.track_ids, frame.class_names, frame.scores)

`load`, `Model`, `Result` and the two errors are all that using a model takes; the page docs/api.md shows more. The
modules below are the network itself, read beside the paper (docs/model.md), and how it is trained.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reference_model.api import Model, Result, load
    from reference_model.config import CheckpointError
    from reference_model.images import ImageError

__all__ = ["CheckpointError", "ImageError", "Model", "Result", "load"]
_HOMES = {"CheckpointError": "config", "ImageError": "images", "Model": "api", "Result": "api", "load": "api"}


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for, so that reading a configuration loads no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

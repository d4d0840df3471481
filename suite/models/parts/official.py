"""Checkpoint files that other projects publish, read without executing anything in them."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from suite.errors import DataError, InputError


def read_official(path: Path) -> Mapping[str, Any]:
    """Return what a ``.pth``, ``.pt`` or ``.safetensors`` file holds, on the CPU: tensors by name, perhaps nested.

    Raises:
        DataError: if the file is absent.
        InputError: if it is no checkpoint, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such checkpoint; check the path")
    try:
        if path.suffix == ".safetensors":
            official: Any = load_file(path)
        else:
            # timm's and DeiT's training scripts save their options beside the weights; a Namespace runs no code.
            with torch.serialization.safe_globals([argparse.Namespace]):
                official = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        # torch's own text recommends executing what is in the file, which nobody should do to find out what it is.
        raise InputError(
            f"{path}: not a checkpoint that can be read without executing code ({type(error).__name__}); give the "
            "official .pth, or convert it to safetensors"
        ) from None
    if not isinstance(official, Mapping):
        raise InputError(f"{path}: holds a {type(official).__name__}, not a dictionary of tensors")
    return official

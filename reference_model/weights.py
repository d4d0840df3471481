"""Checkpoints: one safetensors file with the tensors, the configuration and where they came from.

Nothing is ever unpickled. The header's metadata has a single key, ``mobileinst``, whose value is JSON with sorted keys
``config``, ``format_version`` and ``metadata``, so that equal checkpoints are equal byte by byte.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from reference_model.config import CheckpointError as CheckpointError
from reference_model.config import (
    ConfigError,
    ModelConfig,
    config_differences,
    config_from_dict,
    config_to_dict,
)
from reference_model.mobileinst import MobileInst

FORMAT_VERSION = 1
HEADER_KEY = "mobileinst"
STORED_AS = "stored_as"
"""Metadata key of a checkpoint that was written in half precision on purpose."""
SHOWN_KEYS = 6
WRAPPERS = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and trainers put before every name of a state dict."""

SAVE_AGAIN = "write it with reference_model.weights.save_checkpoint after torch.load(FILE, weights_only=True)"
_log = logging.getLogger(__name__)


def save_checkpoint(
    path: Path,
    model: nn.Module,
    config: ModelConfig,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a checkpoint.

    Args:
        path: the file to write; its folder is made.
        model: its state dict is written, parameters and batch-norm statistics.
        config: the model's configuration.
        metadata: what else to keep, e.g. git sha, dataset digest, training seed; strings only.

    Raises:
        CheckpointError: if the metadata hold anything but strings.
    """
    metadata = dict(metadata or {})
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise CheckpointError(f"{path}: metadata {key!r} is {value!r}, must be a string")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    header = {"format_version": FORMAT_VERSION, "config": config_to_dict(config), "metadata": metadata}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save(tensors, {HEADER_KEY: json.dumps(header, sort_keys=True)}))


def load_checkpoint(path: Path, expected: ModelConfig | None = None) -> tuple[MobileInst, dict[str, str]]:
    """Read a checkpoint into a new model.

    Args:
        path: a file that `save_checkpoint` wrote.
        expected: the variant that the caller wants; None takes whatever the file holds.

    Returns:
        The model in evaluation mode (``model.config`` is the file's configuration) and the metadata given when saving.

    Raises:
        CheckpointError: if the file is absent, truncated, not a checkpoint, of another format version, of another
            variant than ``expected`` (the differing keys are named), or if its tensors do not fit its configuration.
    """
    header, tensors = _read(path)
    config, metadata = _parse_header(path, header)
    if expected is not None and (differences := config_differences(config, expected)):
        named = ", ".join(f"{key} {ours!r} instead of {theirs!r}" for key, (ours, theirs) in differences.items())
        raise CheckpointError(f"{path}: holds another variant than {expected.name!r}: {named}")
    # Shapes are compared on a model without storage first: a hostile configuration must not allocate anything.
    wanted = _skeleton(path, config)
    tensors = _unwrapped(path, wanted, tensors, expect_half=metadata.get(STORED_AS) == "float16")
    refuse_misfit(path, wanted, tensors)
    with torch.random.fork_rng(devices=[]):
        model = MobileInst(config)
    model.load_state_dict(tensors)
    return model.eval(), metadata


def checkpoint_config(path: Path) -> ModelConfig:
    """Return a checkpoint's configuration without building its model.

    Raises:
        CheckpointError: as `load_checkpoint` for the file and its header.
    """
    return _parse_header(path, _read(path, with_tensors=False)[0])[0]


def refuse_misfit(path: Path, wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, naming keys, unless both have the same names and shapes and every value is finite."""
    problems = []
    for clause, keys in (
        ("missing", sorted(set(wanted) - set(given))),
        ("unexpected", sorted(set(given) - set(wanted))),
        ("other shape", sorted(k for k in set(wanted) & set(given) if wanted[k].shape != given[k].shape)),
        ("other type", sorted(k for k in set(wanted) & set(given) if wanted[k].dtype != given[k].dtype)),
    ):
        if keys:
            more = f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
            problems.append(f"{clause}: {', '.join(keys[:SHOWN_KEYS])}{more}")
    if problems:
        raise CheckpointError(f"{path}: tensors do not fit the configuration; {'; '.join(problems)}")
    for key in sorted(given):
        if given[key].is_floating_point() and not bool(torch.isfinite(given[key]).all()):
            raise CheckpointError(f"{path}: tensor {key} holds values that are not finite; train again")


def _unwrapped(
    path: Path, wanted: Mapping[str, Tensor], tensors: dict[str, Tensor], expect_half: bool
) -> dict[str, Tensor]:
    """Undo what has one meaning: a prefix of all names that a wrapper put there, and another precision than 32 bits.

    Logs a warning, unless the file says itself that it holds half precision.
    """
    for prefix in WRAPPERS:
        if tensors and not set(tensors) & set(wanted) and all(name.startswith(prefix) for name in tensors):
            _log.warning("%s: the prefix %r was taken from all %d names of tensors", path, prefix, len(tensors))
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    others = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} - {torch.float32}
    if others and others <= {torch.float16, torch.bfloat16, torch.float64}:
        if not expect_half:
            _log.warning("%s: holds weights in %s; they were converted to 32 bits", path, sorted(map(str, others)))
        tensors = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    return tensors


def _refuse_other_kinds(path: Path) -> None:
    """Refuse files that are no safetensors, each by the name of what it is."""
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
    except OSError:
        return
    if start.startswith(b"version https://git-lfs"):
        raise CheckpointError(f"{path}: is a Git LFS pointer, not the weights; run 'git lfs pull' where it comes from")
    if start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04")):
        raise CheckpointError(f"{path}: is a pickled PyTorch file, not safetensors; {SAVE_AGAIN}")


def _read(path: Path, with_tensors: bool = True) -> tuple[str, dict[str, Tensor]]:
    """Return a checkpoint's own header, and its tensors unless only the header is wanted."""
    _refuse_other_kinds(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER_KEY)
            names = file.keys() if with_tensors and header is not None else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; check the path") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({' '.join(str(error).split())}); it may be truncated or pickled, "
            "write or download it again"
        ) from None
    if header is None:
        raise CheckpointError(
            f"{path}: safetensors metadata has no key {HEADER_KEY!r}, so its configuration is unknown; load its "
            "tensors into a model and write it with reference_model.weights.save_checkpoint"
        )
    return str(header), tensors


def _parse_header(path: Path, header: str) -> tuple[ModelConfig, dict[str, str]]:
    place = f"{path}: safetensors metadata {HEADER_KEY!r}"
    try:
        values: Any = json.loads(header)
    except (ValueError, RecursionError):
        raise CheckpointError(f"{place} is not JSON; not a MobileInst checkpoint") from None
    if not isinstance(values, dict) or set(values) != {"format_version", "config", "metadata"}:
        raise CheckpointError(f"{place} must have exactly the keys config, format_version, metadata")
    if values["format_version"] != FORMAT_VERSION:
        raise CheckpointError(f"{place}: format_version is {values['format_version']!r}, this is {FORMAT_VERSION}")
    config, metadata = values["config"], values["metadata"]
    if not isinstance(config, dict) or not isinstance(metadata, dict):
        raise CheckpointError(f"{place}: config and metadata must be objects")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{place}: metadata must hold strings only")
    try:
        return config_from_dict(config), metadata
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from None


def _skeleton(path: Path, config: ModelConfig) -> dict[str, Tensor]:
    """Return the state dict of a model of this configuration, shapes only."""
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return MobileInst(config).state_dict()
    except (RuntimeError, OverflowError, TypeError) as error:
        raise CheckpointError(f"{path}: its configuration makes no model ({str(error).splitlines()[0]})") from None

"""One module per runnable method; `discover` finds them by folder.

A module defines ``ENTRIES: tuple[ModelEntry, ...]`` and must import without torch, since tables and lists read entries
too: import torch inside ``build``. Modules whose name starts with an underscore are shared helpers, not methods, and so
are the folders: ``networks`` holds the graphs of prior art, one method a file, ``parts`` what several of them share.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from suite.errors import InputError
from suite.files import file_digest

if TYPE_CHECKING:
    from torch import nn

    from suite.models.parts.selection import Selection


@dataclass(frozen=True)
class ModelEntry:
    """One model that the suite can build and run.

    Attributes:
        name: the word a user types, unique in the suite.
        description: one line for lists.
        method: the method as the paper's tables print it, e.g. ``"SparseInst"``.
        backbone: the backbone as the paper's tables print it, e.g. ``"TopFormer-Base"``.
        input_shapes: image (height_px, width_px) to count and time at; the first is the primary one.
        num_classes: number of categories.
        build: seed -> module in evaluation mode with random weights, the same for the same seed, the global random
            state untouched. Its forward takes normalised images (B, 3, H, W) and returns a tuple of tensors, None for
            what it does not compute; no operator depends on the data.
        published_rows: ids of the claims' rows that this model stands for; empty if none.
        reading: how the published row is read where the paper leaves a choice, and why; empty for our own models.
        alternative_to: name of the model whose row this one reads differently; empty for the default reading.
        masks_apart: whether ``forward`` stops before the masks, so that the module has a second graph ``with_masks``
            that goes on to those of 100 instances. Otherwise the network itself makes its masks.
        selection: (height_px, width_px, seed) -> what chooses detections after the network, on synthetic scores; None
            where the suite times the model's own postprocess instead.
    """

    name: str
    description: str
    method: str
    backbone: str
    input_shapes: tuple[tuple[int, int], ...]
    num_classes: int
    build: Callable[[int], nn.Module]
    published_rows: tuple[str, ...] = ()
    reading: str = ""
    alternative_to: str = ""
    masks_apart: bool = False
    selection: Callable[[int, int, int], Selection] | None = None

    @property
    def input_height_px(self) -> int:
        """Height of the primary input shape."""
        return self.input_shapes[0][0]

    @property
    def input_width_px(self) -> int:
        """Width of the primary input shape."""
        return self.input_shapes[0][1]


def discover() -> dict[str, ModelEntry]:
    """Return every model of the folder by name, sorted.

    Raises:
        InputError: if a module defines no ``ENTRIES`` or a name is taken twice.
    """
    entries: dict[str, ModelEntry] = {}
    origin: dict[str, str] = {}
    for module_info in pkgutil.iter_modules(__path__):
        if module_info.ispkg or module_info.name.startswith("_"):
            continue
        file = f"suite/models/{module_info.name}.py"
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        if not hasattr(module, "ENTRIES"):
            raise InputError(f"{file}: defines no ENTRIES; list its models there or start its name with '_'")
        for entry in module.ENTRIES:
            if entry.name in entries:
                raise InputError(f"{file}: model {entry.name!r} is already defined in {origin[entry.name]}; rename one")
            entries[entry.name], origin[entry.name] = entry, file
    return dict(sorted(entries.items()))


def get_entry(name: str) -> ModelEntry:
    """Return one model.

    Raises:
        InputError: if there is none of that name; the message lists the known ones.
    """
    entries = discover()
    if name not in entries:
        raise InputError(f"unknown model {name!r}; known are {', '.join(entries)}")
    return entries[name]


def build_model(name: str, checkpoint: Path | None = None, seed: int = 0) -> tuple[nn.Module, str | None]:
    """Return a model in evaluation mode, and the SHA-256 of its checkpoint.

    Args:
        name: a model of this folder.
        checkpoint: its weights; random ones, and no digest, if None.
        seed: of random weights.

    Raises:
        InputError: if there is no such model, or the checkpoint cannot be read or is another model's.
    """
    if checkpoint is None:
        return get_entry(name).build(seed), None
    from reference_model.weights import CheckpointError, load_checkpoint

    try:
        loaded, _ = load_checkpoint(checkpoint)
    except CheckpointError as error:
        raise InputError(str(error)) from None
    if loaded.config.name != name:
        raise InputError(f"{checkpoint}: holds {loaded.config.name}, not {name}; name that model or another checkpoint")
    return loaded, file_digest(checkpoint)

"""The parameters and MACs of a model at an image size, as a table or as one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from suite.errors import InputError, reason_of
from suite.models import ModelEntry
from suite.text_table import TextColumn, text_table

if TYPE_CHECKING:
    from torch import nn


def counted_module(entry: ModelEntry) -> nn.Module:
    """Return a model for counting only, without storage: with the masks of 100 instances where they are a graph apart.

    Then every method is counted for the same job. Its direct submodules are the model's own.
    """
    import torch
    from torch import nn

    with torch.device("meta"):
        module = entry.build(0)
    if not entry.masks_apart:
        return module

    class WithMasks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # Hidden in a tuple: only its children are modules of this one.
            self.hidden = (module,)
            for name, child in module.named_children():
                self.add_module(name, child)

        def forward(self, image: torch.Tensor) -> Any:
            return self.hidden[0].with_masks(image)  # type: ignore[operator]

    return WithMasks()


def measure_size(entry: ModelEntry, height_px: int, width_px: int) -> dict[str, Any]:
    """Count a model.

    Args:
        entry: the model.
        height_px: image height.
        width_px: image width.

    Returns:
        ``model``, ``height_px``, ``width_px``, ``masks_apart``, ``parameters``, ``macs`` and ``modules``: name to the
        last two.

    Raises:
        InputError: if the model cannot take that size.
    """
    from suite.export.counts import count, total

    try:
        counts = count(counted_module(entry), height_px, width_px)
    except (RuntimeError, ValueError) as error:
        cannot = f"{entry.name} cannot take {height_px}x{width_px} px ({reason_of(error)})"
        primary = "x".join(map(str, entry.input_shapes[0]))
        raise InputError(f"{cannot}; its primary size is {primary}") from error
    return {
        "model": entry.name,
        "height_px": height_px,
        "width_px": width_px,
        "masks_apart": entry.masks_apart,
        **total(counts)._asdict(),
        "modules": {name: module._asdict() for name, module in counts.items()},
    }


def size_table(size: dict[str, Any]) -> str:
    """Return `measure_size`'s result as aligned text: millions of parameters, billions of MACs."""
    masks = ", with the masks of 100 instances" if size["masks_apart"] else ""
    columns = [TextColumn("module"), TextColumn("parameters (M)", number=True), TextColumn("MACs (G)", number=True)]
    rows = [
        (name, f"{row['parameters'] / 1e6:.3f}", f"{row['macs'] / 1e9:.3f}")
        for name, row in [*size["modules"].items(), ("total", size)]
    ]
    title = f"{size['model']} at {size['height_px']}x{size['width_px']} px, one image{masks}"
    return "\n".join([title, *text_table(columns, rows)])

"""``model``: what the suite can build, and how large it is."""

from __future__ import annotations

import click

from suite.command_options import json_option, show, size_option


@click.command(name="model")
@click.argument("name", required=False)
@size_option("the model's own")
@json_option()
def command(name: str | None, size: tuple[int, int] | None, as_json: bool) -> None:
    """Print parameters and MACs of the model NAME, module by module; without NAME, list the models.

    MACs are the multiply-accumulates of convolutions, linear layers and matrix products for one image.
    """
    from suite.errors import InputError
    from suite.models import discover, discover_installed, get_entry
    from suite.models._size import measure_size, size_table
    from suite.progress import say

    if name is None:
        if size is not None:
            raise InputError("--size needs a model; give its NAME, or leave --size out to list the models")
        installed, faults = discover_installed()
        entries = discover() | installed
        for fault in faults:
            say(f"left out: {fault}")
        fields = ("description", "input_shapes", "published_rows", "reading", "alternative_to")
        models = [{"model": name} | {key: getattr(entry, key) for key in fields} for name, entry in entries.items()]
        longest = max(len(entry) for entry in entries)
        lines = [
            f"{entry.name:<{longest}}  {'x'.join(map(str, entry.input_shapes[0]))}  {entry.description}"
            for entry in entries.values()
        ]
        show(as_json, {"models": models}, "\n".join(lines))
        return
    entry = get_entry(name)
    height_px, width_px = size or entry.input_shapes[0]
    counted = measure_size(entry, height_px, width_px)
    show(as_json, counted, size_table(counted))

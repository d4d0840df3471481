"""``model``: what the suite can build, and how large it is."""

from __future__ import annotations

import json

import click

from suite.command_options import json_option, size_option


@click.command(name="model")
@click.argument("name", required=False)
@size_option("the model's own")
@json_option()
def command(name: str | None, size: tuple[int, int] | None, as_json: bool) -> None:
    """Print parameters and MACs of the model NAME, module by module; without NAME, list the models.

    MACs are the multiply-accumulates of convolutions, linear layers and matrix products for one image.
    """
    from suite.errors import InputError
    from suite.models import discover, get_entry
    from suite.models._size import measure_size, size_table

    if name is None:
        if size is not None:
            raise InputError("--size needs a model; give its NAME, or leave --size out to list the models")
        entries = discover()
        if as_json:
            fields = ("description", "input_shapes", "published_rows", "reading", "alternative_to")
            models = [{"model": name} | {key: getattr(entry, key) for key in fields} for name, entry in entries.items()]
            click.echo(json.dumps({"models": models}))
            return
        width = max(len(entry) for entry in entries)
        for entry in entries.values():
            click.echo(f"{entry.name:<{width}}  {entry.input_height_px}x{entry.input_width_px}  {entry.description}")
        return
    entry = get_entry(name)
    height_px, width_px = size or entry.input_shapes[0]
    counted = measure_size(entry, height_px, width_px)
    click.echo(json.dumps(counted) if as_json else size_table(counted))

"""``publish``: weights with their card, for others to load by name."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import PATH, checkpoint_option


@click.command(name="publish")
@checkpoint_option("shapes")
@click.option("--to", required=True, metavar="FOLDER|hf:USER/REPO", help="Where they go.")
@click.option("--annotations", type=PATH, help="COCO file: score the weights on it, and say the AP in the card.")
@click.option("--images", type=PATH, help="Folder that the file names in it start from.")
@click.option("--licence", default="apache-2.0", show_default=True, help="Of the weights, e.g. cc-by-4.0.")
@click.option("--private", is_flag=True, help="A new repository is for its owner alone.")
def command(
    checkpoint: Path, to: str, annotations: Path | None, images: Path | None, licence: str, private: bool
) -> None:
    """Write weights, configuration and model card as a Hugging Face repository holds them, into a folder or to it.

    The card says data, recipe, licence and, with --annotations, the mask AP. Others then load the weights with
    --checkpoint hf:USER/REPO, and from Python with load("USER/REPO").
    """
    from suite.deploy.publish import publish

    if (annotations is None) != (images is None):
        raise click.UsageError("--annotations and --images go together; give both")
    click.echo(publish(checkpoint, to, licence, (annotations, images) if annotations and images else None, private))

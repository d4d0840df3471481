"""``python -m suite train``."""

from __future__ import annotations

import click


@click.command(name="train")
@click.argument("recipe", default="shapes")
@click.option("--seed", type=int, default=0, show_default=True, help="Base seed of weights, order and augmentation.")
@click.option("--iterations", type=click.IntRange(min=1), help="Replace the recipe's number of iterations.")
@click.option("--query-passing/--no-query-passing", default=None, help="Replace the recipe's choice.")
@click.option("--fresh", is_flag=True, help="Discard the state of an interrupted run instead of resuming it.")
def command(recipe: str, seed: int, iterations: int | None, query_passing: bool | None, fresh: bool) -> None:
    """Train one model from a RECIPE (a shipped name or a TOML file) and keep its checkpoint under runs/."""
    from suite.paths import shown
    from suite.training.recipe import load_recipe

    loaded = load_recipe(recipe, iterations=iterations, query_passing=query_passing)
    from suite.training.run import train_on_shapes  # after the check: torch takes seconds to load

    finished = train_on_shapes(loaded, seed, fresh)
    click.echo(f"checkpoint {shown(finished.checkpoint)}")
    evaluated = [row for row in finished.result.curve if row[-1] is not None]
    if evaluated:
        click.echo(f"mask AP on {loaded.evaluation_images} held-out frames: {100 * float(evaluated[-1][-1] or 0):.1f}")

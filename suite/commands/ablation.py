"""``python -m suite ablation``."""

from __future__ import annotations

import click


@click.command(name="ablation")
@click.option(
    "--seeds", type=click.IntRange(min=1), default=5, show_default=True, help="Number of seeds, counted from 0."
)
@click.option("--iterations", type=click.IntRange(min=1), help="Replace the recipe's number of iterations.")
@click.option(
    "--cell",
    "names",
    metavar="CELL",
    multiple=True,
    help="Only this cell; may be repeated [default: all].",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Trainings side by side [default: as many as fit on the cores].",
)
@click.option("--no-report", is_flag=True, help="Leave tables and figures as they are.")
@click.option("--plan", "plan_only", is_flag=True, help="Train nothing; print what is done and what is left.")
def command(
    seeds: int, iterations: int | None, names: tuple[str, ...], workers: int | None, no_report: bool, plan_only: bool
) -> None:
    """Train every cell of the ablation on shapes with every seed, score it, and redraw reports/.

    The cells are the default model and what differs from it in one choice: decoders, pooling of local features, query
    passing. Each is scored on images, on videos at T = 1, 3, 6 with and without association, and on the videos with
    look-alikes, occlusion and fast motion. A cell and seed that has a complete record of the same recipe, dataset and
    reference model is skipped. Interrupted (Ctrl-C, SIGTERM, SIGUSR1), the same command resumes inside the trainings;
    the last two end with exit code 75, on which a batch job is requeued.
    """
    from suite.reproduce.ablation import (
        compared_with_records,
        named_jobs,
        plan_lines,
        reference_model_digest,
        train_cells,
    )

    if plan_only:
        jobs = compared_with_records(named_jobs(names, seeds, iterations), reference_model_digest())
    else:
        jobs = train_cells(names, seeds, iterations, workers)
        if not no_report:
            from suite.report.render import render_report

            render_report()
    click.echo("\n".join(plan_lines(jobs)))

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
@click.option("--plan", "plan_only", is_flag=True, help="Train nothing; print what is done, what is left, how long.")
def command(
    seeds: int, iterations: int | None, names: tuple[str, ...], workers: int | None, no_report: bool, plan_only: bool
) -> None:
    """Train every cell of the ablation on shapes with every seed, score it, and redraw reports/.

    The cells are the default model and what differs from it in one choice: decoders, pooling of local features, query
    passing. Each is scored on images, on videos at T = 1, 3, 6 with and without association, and on the videos with
    look-alikes, occlusion and fast motion. A cell and seed that has a complete record of the same recipe, dataset and
    reference model is skipped. Ctrl-C is safe: the same command resumes inside the interrupted trainings.
    """
    from suite.errors import InputError
    from suite.reproduce.ablation import jobs, make_plan, run_ablation
    from suite.reproduce.ablation_cells import CELLS
    from suite.reproduce.code_identity import present_digest
    from suite.reproduce.workers import fitting_workers, run_workers

    known = [cell.name for cell in CELLS]
    for name in names:
        if name not in known:
            raise InputError(f"--cell {name}: unknown; known: {', '.join(known)}")
    cells = [cell for cell in CELLS if not names or cell.name in names]
    wanted = jobs(cells, seeds, iterations)
    if not plan_only:
        from suite.datasets import embedded
        from suite.report.render import render_all

        side_by_side = min(workers or fitting_workers(wanted[0].recipe.threads), len(wanted))
        if side_by_side > 1:
            words = [word for name in names for word in ("--cell", name)]
            words += ["--iterations", str(iterations)] if iterations else []
            embedded.ensure()
            run_workers(["ablation", "--seeds", str(seeds), *words, "--workers", "1", "--no-report"], side_by_side)
        else:
            run_ablation(wanted)
        if not no_report:
            render_all()
    plan = make_plan(wanted, present_digest())
    for cell in cells:
        done = " ".join(str(job.seed) for job, _ in plan.done if job.cell is cell) or "none"
        left = " ".join(str(job.seed) for job in plan.left if job.cell is cell) or "none"
        click.echo(f"{cell.name:<17} seeds done: {done:<12} left: {left}")
    for title, reason in plan.reasons.items():
        click.echo(f"{title}: {reason}")
    minutes = plan.minutes_left
    if not plan.left:
        estimate = ""
    elif minutes is None:
        estimate = "; no training time is recorded yet to estimate the rest from"
    else:
        estimate = (
            f"; about {minutes:.0f} minutes of training, from {plan.trainings} recorded ones, scoring not counted"
        )
    click.echo(f"{len(wanted)} trainings: {len(plan.done)} done, {len(plan.left)} left{estimate}")

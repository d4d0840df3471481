"""``parity``: what a model loses by being exported, in tensors and in AP on real pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from suite.command_options import json_option, seed_option

FILE = click.Path(path_type=Path)


@click.command(name="parity")
@click.argument("model")
@click.option("--annotations", type=FILE, required=True, help="COCO annotations file that lists the pictures.")
@click.option("--images", type=FILE, required=True, help="Folder that the file names in it start from.")
@click.option("--checkpoint", type=FILE, help="Weights (.safetensors) of MODEL [default: random ones].")
@click.option(
    "--limit", type=click.IntRange(min=1), default=16, show_default=True, help="Number of pictures, from the start."
)
@click.option("--fixed", is_flag=True, help="Export at the model's own padded size instead of any height and width.")
@seed_option("Seed of random weights.")
@json_option("text")
def command(
    model: str,
    annotations: Path,
    images: Path,
    checkpoint: Path | None,
    limit: int,
    fixed: bool,
    seed: int,
    as_json: bool,
) -> None:
    """Export MODEL to ONNX, run graph and reference model over the same pictures, and compare.

    The agreement is the mask AP of the graph's results with the reference model's own results taken for the truth: 100
    means that every mask came back. With a checkpoint and ground truth, both are also scored against that.
    """
    from reference_model.mobileinst import MobileInst
    from suite.errors import InputError
    from suite.export.parity import export_and_compare
    from suite.models import build_model

    module, _ = build_model(model, checkpoint, seed)
    if not isinstance(module, MobileInst):
        raise InputError(f"{model}: is prior art, which has no postprocessing to compare; name a MobileInst")
    report, parity = export_and_compare(module, annotations, images, limit, fixed)
    if as_json:
        click.echo(json.dumps({"model": model, **asdict(parity), "export": asdict(report)}))
        return
    click.echo(f"{model}: {report.nodes} nodes, opset {report.opset}")
    click.echo(f"tensors: largest difference {report.parity_max_abs:.2e}, relative {report.parity_max_rel:.2e}")
    click.echo(f"agreement AP on {parity.pictures} pictures: {100 * parity.agreement_ap:.2f}")
    if parity.reference_ap >= 0:
        click.echo(f"mask AP: {100 * parity.reference_ap:.2f} torch, {100 * parity.graph_ap:.2f} ONNX Runtime")
    if checkpoint is None:
        click.echo("random weights: the AP says nothing of the model, the agreement says all of the export")

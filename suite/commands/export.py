"""``export``: a model as a file that runs without torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from suite.command_options import PATH, RegularFile, checkpoint_option, json_option, seed_option, show, size_option


@click.command(name="export")
@checkpoint_option()
@click.option("--model", "name", help="Instead of a checkpoint, a variant with random weights, to look at its graph.")
@click.option("--out", type=RegularFile(), required=True, help="File to write: .onnx, .param, .tflite or .pte.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["onnx", "ncnn", "litert", "executorch"]),
    default="onnx",
    show_default=True,
    help="What runs it; litert and executorch are extras (docs/deploy.md).",
)
@size_option("the size that the model's pictures are padded to")
@click.option(
    "--part",
    type=click.Choice(["whole", "key-frame", "frame"]),
    default="whole",
    show_default=True,
    help="whole: image to instances, in video as key-frame; frame: image and a key frame's kernels to masks.",
)
@click.option(
    "--form",
    type=click.Choice(["straightforward", "portable", "onnxruntime"]),
    default="portable",
    show_default=True,
    help="How an ONNX graph is written: onnxruntime is fastest there, portable runs well everywhere.",
)
@click.option("--dynamic", is_flag=True, help="Leave height and width open, to multiples of 64 (ONNX).")
@click.option("--annotations", type=PATH, help="COCO file: compare graph and model in AP on its pictures (whole).")
@click.option("--images", type=PATH, help="Folder that the file names in it start from.")
@click.option("--limit", type=click.IntRange(min=1), default=16, show_default=True, help="Pictures, from the start.")
@seed_option("Seed of random weights.")
@json_option("lines of text")
def command(
    checkpoint: Path | None,
    name: str | None,
    out: Path,
    kind: str,
    size: tuple[int, int] | None,
    part: str,
    form: str,
    dynamic: bool,
    annotations: Path | None,
    images: Path | None,
    limit: int,
    seed: int,
    as_json: bool,
) -> None:
    """Write a model for another runtime, and compare what the file computes with torch before it gets its name.

    The file carries the categories, input size, normalisation, thresholds, digest of the weights and versions. With
    --annotations the graph and the model also predict the same pictures; the agreement is the mask AP of the graph
    where the model's results are taken for the truth: 100 means that every mask comes back.
    """
    from suite.deploy.exported import export_files

    if (annotations is None) != (images is None):
        raise click.UsageError("--annotations and --images go together; give both")
    pictures = (annotations, images, limit) if annotations and images else None
    graph_part = part.replace("-", "_")
    done = export_files(out, kind, checkpoint, name, seed, size, graph_part, form, dynamic, pictures)
    report, parity, model = done.report, done.parity, json.loads(done.metadata["config"])["name"]
    values = {"files": [str(file) for file in done.files], "metadata": done.metadata, "export": asdict(report)}
    lines = [f"{file}: {file.stat().st_size / 1e6:.2f} MB" for file in done.files]
    lines += [
        f"{model}, {part}, input {done.metadata['input_size']}: {report.nodes} nodes, opset {report.opset}",
        f"parity with torch: largest difference {report.parity_max_abs:.1e}, "
        f"{report.parity_max_rel:.1e} of the largest output",
    ]
    if parity is not None:
        lines.append(f"agreement AP on {parity.pictures} pictures: {100 * parity.agreement_ap:.2f}")
        if parity.reference_ap >= 0:
            lines.append(f"mask AP: {100 * parity.reference_ap:.2f} torch, {100 * parity.graph_ap:.2f} {kind}")
    show(as_json, {"model": model, "part": part, **values, "pictures": parity and asdict(parity)}, "\n".join(lines))

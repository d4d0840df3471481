"""``benchmark``: one checkpoint in every format, side by side."""

from __future__ import annotations

from pathlib import Path

import click

from suite.command_options import PATH, checkpoint_option, core_option, json_option, pairs_option, show, size_option


@click.command(name="benchmark")
@checkpoint_option("shapes")
@size_option("the size that the model's pictures are padded to")
@click.option("--annotations", type=PATH, help="COCO file: also score every format on its pictures.")
@click.option("--images", type=PATH, help="Folder that the file names in it start from.")
@click.option("--limit", type=click.IntRange(min=1), default=64, show_default=True, help="Pictures, from the start.")
@pairs_option("format")
@core_option()
@json_option()
def command(
    checkpoint: Path,
    size: tuple[int, int] | None,
    annotations: Path | None,
    images: Path | None,
    limit: int,
    pairs: int | None,
    core: int | None,
    as_json: bool,
) -> None:
    """Compare a checkpoint's formats: torch, ONNX as exported, ONNX rewritten, ncnn, LiteRT, ExecuTorch if installed.

    One table: file size, parity with torch, mask AP on --annotations, and milliseconds of the network on one core, by
    the protocol of `latency`, whose rules each timing passes or breaks. Exit code 3 if no timing was valid.
    """
    from suite.deploy.formats import benchmark, benchmark_table
    from suite.latency.device import load_device

    if (annotations is None) != (images is None):
        raise click.UsageError("--annotations and --images go together; give both")
    pictures = (annotations, images, limit) if annotations and images else None
    found = benchmark(checkpoint, size, load_device("host").protocol().with_samples(pairs), core, pictures)
    show(as_json, found.to_json(), benchmark_table(found))
    found.report.require_valid("benchmark: no timing")

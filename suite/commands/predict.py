"""``predict``: a model over anybody's pictures and videos, or over a dataset into the official results file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reference_model.config import ASSOCIATIONS
from suite.command_options import (
    PATH,
    CommandGroup,
    FiniteRange,
    RegularFile,
    checkpoint_option,
    json_option,
    options,
    show,
)

if TYPE_CHECKING:
    from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
    from suite.datasets.coco import CocoDataset
    from suite.datasets.youtube_vis import YoutubeVisDataset
    from suite.export.mobileinst import OnnxSegmenter

protocol_options = options(
    click.option("--short-side", "short_side_px", type=click.IntRange(1, 4096), help="Replace the short side, px."),
    click.option("--long-side", "long_side_px", type=click.IntRange(1, 4096), help="Replace the long side, px."),
    click.option("--mask-threshold", type=FiniteRange(0, 1, min_open=True, max_open=True), help="Replace 0.45."),
)
common = options(
    checkpoint_option(),
    click.option("--model", type=click.Choice(["sparseinst_resnet50_608"]), help="What --checkpoint holds: its .pth."),
    click.option("--onnx", type=RegularFile(), help="Instead of a checkpoint, a whole network exported by this suite."),
    click.option("--annotations", type=PATH, required=True, help="Annotations file; ground truth in it is not read."),
    click.option("--images", type=PATH, required=True, help="Folder that the file names in it start from."),
    click.option("--out", type=RegularFile(), required=True, help="Results file to write, e.g. results.json."),
    click.option("--score-threshold", type=FiniteRange(0, 1, max_open=True), help="Replace 0.005."),
    protocol_options,
    # With one thread, results do not depend on the number of processes.
    click.option("--threads", type=click.IntRange(1, 1024), default=1, show_default=True, help="Of each process."),
    click.option("--classes-by-position", is_flag=True, help="Take class i for the i-th category id, not by name."),
    click.option("--skip-check", is_flag=True, help="Do not look at all pictures before the first is predicted."),
    json_option("text"),
)


def _open(
    checkpoint: Path | None, onnx: Path | None, prior_art: str | None, threads: int, changes: dict[str, Any]
) -> ReferenceSegmenter | OnnxSegmenter:
    """Load the model and give it the protocol with the user's changes."""
    import torch

    from suite.accuracy.segmenter import ReferenceSegmenter

    if (checkpoint is None) == (onnx is None):
        raise click.UsageError("give either --checkpoint FILE or --onnx FILE")
    torch.set_num_threads(threads)
    segmenter: ReferenceSegmenter | OnnxSegmenter
    if onnx is not None:
        from suite.export.mobileinst import OnnxSegmenter

        segmenter = OnnxSegmenter(onnx, threads=threads)
    elif prior_art is not None and checkpoint is not None:
        from suite.models.sparseinst import official_segmenter

        segmenter = official_segmenter(checkpoint)
    else:
        assert checkpoint is not None
        segmenter = ReferenceSegmenter.open(checkpoint)
    segmenter.protocol = _changed(segmenter.protocol, changes)
    return segmenter


def _changed(protocol: PredictionProtocol, changes: dict[str, Any]) -> PredictionProtocol:
    """Return a protocol with the user's changes; None is no change."""
    protocol = replace(protocol, **{name: value for name, value in changes.items() if value is not None})
    if protocol.long_side_px < protocol.short_side_px:
        raise click.UsageError(f"the long side's limit {protocol.long_side_px} is below the short side; give both")
    return protocol


def _run(
    dataset: CocoDataset | YoutubeVisDataset,
    out: Path,
    as_json: bool,
    checkpoint: Path | None,
    onnx: Path | None,
    model: str | None,
    threads: int,
    classes_by_position: bool,
    skip_check: bool,
    **changes: Any,
) -> None:
    """Open the model, check all pictures, write the results over the dataset, and say what was written."""
    from suite.accuracy.predict import predict_dataset, protocol_path
    from suite.datasets.pictures import require_pictures
    from suite.distributed import start_processes
    from suite.files import read_json, refuse_overwriting
    from suite.paths import shown
    from suite.progress import say

    inputs = [dataset.path, checkpoint, onnx, *(path for path, _ in dataset.picture_files())]
    for path in (out, protocol_path(out)):
        refuse_overwriting(path, inputs)
    segmenter = _open(checkpoint, onnx, model, threads, changes)
    if not skip_check:
        require_pictures(dataset.picture_files())
    caution = predict_dataset(segmenter, dataset, out, by_position=classes_by_position)
    if not start_processes().first:
        return
    made = {"results": shown(out), **read_json(protocol_path(out))}
    amount = f"{len(dataset.places)} {'images' if made['task'] == 'coco' else 'videos'}"
    show(as_json, made, f"{shown(out)}: results of {amount}; how they were made: {shown(protocol_path(out))}")
    if caution:
        say(f"caution: {caution}")


class SourcesFirst(CommandGroup):
    """A group that hands its words to its hidden command ``sources`` unless the first is another command's name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``sources`` before words that begin with no command's name."""
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["sources", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write both ways to call it."""
        formatter.write_usage(ctx.command_path, "[OPTIONS] SOURCE...")
        formatter.write_usage(ctx.command_path, "coco|youtube-vis [OPTIONS]")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of ``sources``, then the commands."""
        sources = self.commands["sources"]
        click.Command.format_options(sources, ctx, formatter)
        self.format_commands(ctx, formatter)


@click.group(name="predict", cls=SourcesFirst)
def command() -> None:
    """Find objects in pictures, videos or a camera's frames; or run a model over a dataset.

    A SOURCE is a picture, a video, a folder of them, a pattern in quotes ('shots/*.jpg') or a camera's number. Without
    --save and --json, one line a source says what was found. A picture or frame that cannot be read is named and
    skipped; exit code 3 if nothing could be read.

    The commands below write official results files of datasets. A killed run continues where it stopped when the
    command is repeated. Under torchrun the images are shared out over processes (of machines that share the folder
    of --out), and the file is the same: torchrun --nproc-per-node 2 -m suite predict coco ...
    """


@command.command(name="sources", hidden=True)
@click.argument("words", nargs=-1, required=True, metavar="SOURCE...")
@checkpoint_option("shapes")
@click.option(
    "--save",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for drawn PNGs and mp4s, and for this command's instances.json; writes over nothing else there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all instances as one JSON object, masks as COCO's RLE.")
@click.option("--frames", is_flag=True, help="The pictures of a folder or pattern are the frames of one clip.")
@click.option(
    "--score-threshold", type=FiniteRange(0, 1, max_open=True), default=0.3, show_default=True, help="Least score."
)
@protocol_options
@click.option("--key-frame-interval", type=click.IntRange(min=1), default=3, show_default=True, help="T of clips.")
@click.option("--association/--no-association", default=True, help="Associate queries of key frames (clips).")
@click.option("--max-frames", type=click.IntRange(min=1), help="End every clip or camera after so many frames.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to run.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads on the CPU; default: torch's own choice.")
def sources(
    words: tuple[str, ...],
    checkpoint: Path,
    folder: Path | None,
    as_json: bool,
    frames: bool,
    max_frames: int | None,
    device: str,
    threads: int | None,
    **changes: Any,
) -> None:
    """Find objects in pictures, videos or a camera's frames."""
    import torch

    from reference_model.config import SHIPPED
    from suite.accuracy.segment_sources import SourceSegmenter, summary
    from suite.accuracy.segmenter import PredictionProtocol, open_checkpoint
    from suite.accuracy.sources import find_sources
    from suite.datasets.categories import Categories
    from suite.errors import InputError
    from suite.progress import say

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no CUDA device here; leave the option out")
    chosen = find_sources(words, frames)
    model, metadata = open_checkpoint(checkpoint)
    if threads is not None:
        torch.set_num_threads(threads)
    protocol = _changed(PredictionProtocol.of(model.config), changes)
    if checkpoint.parent == SHIPPED:
        say("shipped weights: they know six drawn shapes, not photographs; other weights: --checkpoint FILE")
    categories = Categories.of_checkpoint(metadata, checkpoint, model.config.num_classes)
    found = SourceSegmenter(model.to(device), categories, protocol, folder, max_frames).run(chosen)
    show(as_json, found, "\n".join(summary(found)))


@command.command(name="coco")
@common
@click.option("--max-detections", type=click.IntRange(min=1), help="Replace 100 detections an image.")
def coco(annotations: Path, images: Path, **words: Any) -> None:
    """Instances of images, as a COCO results file."""
    from suite.datasets.coco import CocoDataset

    _run(CocoDataset.load(annotations, images, truth=False), **words)


@command.command(name="youtube-vis")
@common
@click.option("--key-frame-interval", type=click.IntRange(min=1), help="Kernel-reuse length T instead of 1.")
@click.option("--association/--no-association", default=None, help="Link queries of key frames, or query i = track i.")
@click.option("--associate-on", type=click.Choice(ASSOCIATIONS), metavar="RULE", help="See docs/tracking.md.")
@click.option("--split-ids", type=PATH, help="Only the videos of this list, made by 'data split'.")
@click.option("--max-tracks", type=click.IntRange(min=1), help="Replace 10 (query, class) pairs a video.")
def youtube_vis(annotations: Path, images: Path, split_ids: Path | None, **words: Any) -> None:
    """Instances of videos, as a YouTube-VIS results file."""
    from suite.accuracy.predict import protocol_path
    from suite.datasets.local_split import read_local_split
    from suite.datasets.youtube_vis import YoutubeVisDataset
    from suite.files import file_digest, refuse_overwriting

    for path in (words["out"], protocol_path(words["out"])):
        refuse_overwriting(path, [split_ids])
    dataset = YoutubeVisDataset.load(annotations, images, truth=False)
    if split_ids is not None:
        dataset = dataset.only(read_local_split(split_ids, annotations).video_ids, file_digest(split_ids))
    _run(dataset, **words)

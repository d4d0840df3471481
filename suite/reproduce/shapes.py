"""The main job: train on the embedded set, score images and videos, time one core, draw, and judge every claim."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack

from suite.datasets import embedded
from suite.drawing.detections import draw_detections
from suite.drawing.tracks import draw_track_animation, draw_track_strip, show_video
from suite.errors import InputError, SuiteError
from suite.export.parity import measure_export_parity, parity_measurements
from suite.files import file_digest
from suite.latency.device import load_device
from suite.latency.host import measure_host
from suite.latency.prepare import prepare_model
from suite.latency.report import record_lines
from suite.latency.spans import TimedModel
from suite.locks import claimed
from suite.models import ModelEntry, discover
from suite.paths import recorded, records_dir, reports_dir, shown
from suite.progress import say
from suite.records.schema import Artifact, Measurement, Scalar, Subject
from suite.records.store import write_run
from suite.report.ablation import KEY_FRAME_INTERVALS
from suite.reproduce.held_out import VIDEO_SETTINGS, held_out_lines, images_results, shapes_dataset, videos_results
from suite.reproduce.stages import Line, Stages
from suite.signals import stoppable
from suite.training.model_card import FinishedRun
from suite.training.recipe import Recipe
from suite.training.run import code_digest, forget, run_folder, train_recipe

SHOWN_SCORE = 0.4
"""Predictions above it are drawn: low-scored duplicates would cover the picture."""
PAPER_SIZE_MODELS = ("mobileinst_topformer_base_640", "mobileinst_topformer_base_512")


def draw_pictures(finished: FinishedRun) -> list[Artifact]:
    """Draw predicted masks and one tracked video, still and moving; return the files as record lines."""
    folder, run = reports_dir() / "pictures", finished.checkpoint.parent
    masks, strip, moving = (folder / f"shapes_{name}.png" for name in ("masks", "tracks", "tracks_animated"))
    results = videos_results(run, *VIDEO_SETTINGS[0])
    video = show_video(embedded.videos("val"), results, score_threshold=SHOWN_SCORE)
    captions = {
        masks: draw_detections(embedded.images("val"), images_results(run), masks, score_threshold=SHOWN_SCORE),
        strip: draw_track_strip(video, strip),
        moving: draw_track_animation(video, moving),
    }
    return [
        Artifact(path.stem, recorded(path), file_digest(path), finished.subject, caption)
        for path, caption in captions.items()
    ]


def reproduce_accuracy(recipe: Recipe, seed: int, stages: Stages, draw: bool) -> FinishedRun:
    """Train one seed and record everything that is scored on it."""
    name = f"seed {seed}"
    run = stages.run(name, "shapes", seed)
    finished = train_recipe(recipe, seed)
    if not (records_dir() / f"{run.run_id}.jsonl").exists():
        lines = held_out_lines(finished, stages, name)
        if draw:
            lines += stages.lines(f"{name} pictures", lambda: draw_pictures(finished))
        write_run(run, lines)
    return finished


def size_lines(entries: Iterable[ModelEntry]) -> list[Measurement]:
    """Return parameters and MACs of models at their primary sizes as record lines.

    Of a method whose network stops before the masks, those of 100 instances are included.
    """
    from suite.export.counts import count, total
    from suite.models._size import counted_module

    lines = []
    for entry in entries:
        height_px, width_px = entry.input_shapes[0]
        counted = total(count(counted_module(entry), height_px, width_px))
        size: dict[str, Scalar] = {"height_px": height_px, "width_px": width_px}
        lines.append(Measurement("parameters", float(counted.parameters), Subject(entry.name), size))
        lines.append(Measurement("macs", float(counted.macs), Subject(entry.name), size))
    return lines


def parity_lines(prepared: TimedModel) -> list[Measurement]:
    """Return how far each exported graph of a model is from torch, as record lines."""
    subject = Subject(prepared.name, prepared.weights_sha256)
    return [
        Measurement(
            "parity_max_abs",
            graph.report.parity_max_abs,
            subject,
            {"graph": part, "runtime": "onnxruntime", "precision": "fp32", "opset": graph.report.opset},
        )
        for part, graph in prepared.graphs.items()
        if graph.report is not None
    ]


def latency_lines(trained: FinishedRun, seed: int) -> list[Line]:
    """Time the trained model (all spans, T = 1, 3, 6) beside the paper-size variants with random weights."""
    pictures = [path for path, _ in embedded.images("val").picture_files()[:8]]
    say("exporting to ONNX, each graph checked against torch")
    prepared = [
        prepare_model(name, spans=("network", "preprocess", "postprocess"), seed=seed) for name in PAPER_SIZE_MODELS
    ]
    prepared.append(
        prepare_model(
            trained.subject.model,
            checkpoint=trained.checkpoint,
            spans=("network", "preprocess", "postprocess", "video_network", "video"),
            key_frame_intervals=KEY_FRAME_INTERVALS,
            images=pictures,
            seed=seed,
        )
    )
    report = measure_host(prepared, load_device("host").protocol("standard"))
    sizes = size_lines(entry for entry in discover().values() if not entry.reading)
    graph, folder = prepared[-1].graphs["whole"].path, trained.checkpoint.parent / "export_parity"
    dataset = shapes_dataset()
    frames, truth = embedded.images(dataset.split), embedded.annotations_path("instances", dataset.split)
    parity = measure_export_parity(trained.result.model, graph, frames, truth, folder)
    exact = parity_measurements(parity, trained.subject, trained.protocol, dataset)
    return [*sizes, *(line for item in prepared for line in parity_lines(item)), *record_lines(report), *exact]


@stoppable()
def reproduce_shapes(
    recipe: Recipe,
    seeds: Sequence[int],
    fresh: bool = False,
    latency: bool = True,
    draw_report: Callable[[], object] = lambda: None,
) -> None:
    """Run the main job. After a kill the same call repeats no finished training, score, picture or timing.

    Args:
        recipe: what to train.
        seeds: one training each; pictures and timed weights come from the first.
        fresh: discard what an interrupted job of these options has done.
        latency: whether to time; a latency that is not valid on this machine is recorded as such and stops nothing.
        draw_report: called once everything is recorded, while the finished stages are still known.

    Raises:
        InputError: if the recipe is for another dataset.
        SuiteError: for bad data or a failed training.
        StoppedError: on SIGTERM or SIGUSR1.
    """
    if recipe.dataset != "shapes":
        raise InputError(f"recipe dataset {recipe.dataset!r}: only 'shapes' is trained by this command")
    started = time.monotonic()
    options = [recipe.digest(), str(seeds), str(latency), embedded.ensure(), code_digest(".")]
    stages = Stages("shapes-" + recipe.digest()[:8], *options)
    with ExitStack() as held:
        for seed in seeds:
            if holder := held.enter_context(claimed(run_folder(recipe, seed))):
                raise InputError(f"{shown(run_folder(recipe, seed))}: {holder} works in this folder; wait for it")
            if fresh:
                forget(run_folder(recipe, seed))
        if fresh:
            stages.clear()
        finished = [reproduce_accuracy(recipe, seed, stages, draw=index == 0) for index, seed in enumerate(seeds)]
        if latency:
            run = stages.run("latency", "latency-host", seeds[0])
            try:
                if not (records_dir() / f"{run.run_id}.jsonl").exists():
                    write_run(run, stages.lines("timing", lambda: latency_lines(finished[0], seeds[0])))
            except SuiteError as error:
                say(f"latency was not measured: {error}")
        say(f"measured in {time.monotonic() - started:.0f} s")
        draw_report()
        stages.clear()
        for seed in seeds:
            forget(run_folder(recipe, seed))

"""``latency``: how long a model takes on one core, and whether the number may be believed."""

from __future__ import annotations

import dataclasses
import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from suite.command_options import (
    CommandGroup,
    FiniteRange,
    Option,
    core_option,
    json_option,
    options,
    pairs_option,
    record_option,
    seed_option,
    show,
    size_option,
)

EXISTING = click.Path(path_type=Path, dir_okay=False)


@click.group(name="latency", cls=CommandGroup)
def command() -> None:
    """Time models on one core, one thread, fp32, by a protocol with rules."""


_timing_options: Option[Any] = options(
    click.option(
        "--onnx",
        "given",
        multiple=True,
        metavar="FILE[:NAME]",
        help="Any ONNX file with one fp32 image of fixed shape.",
    ),
    size_option(),
    click.option(
        "--checkpoint",
        "checkpoints",
        multiple=True,
        type=EXISTING,
        help="Weights of the named model that the file holds; may be repeated. Others get seeded random weights.",
    ),
    pairs_option(),
    click.option(
        "--protocol", default="standard", show_default=True, help="standard, or strict (MLPerf Mobile's counts)."
    ),
    seed_option("Seed of random weights and synthetic inputs."),
    record_option(),
    json_option(),
)
"""Options that timing on this machine and on a device share."""


@command.command(name="host")
@click.option("--models", metavar="A,B,...", help="Models to time, interleaved; the first is the anchor.")
@click.option(
    "--spans",
    help="What the clock covers: network, with_masks (the network up to 100 instances' masks), selection, preprocess, "
    "postprocess, video_network, video (end to end per frame). Default: network, preprocess and postprocess for "
    "MobileInst; network, with_masks where it is another graph, and selection for prior art.",
)
@click.option("--key-frame-intervals", default="1,3,6", show_default=True, help="T of the video spans.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of pictures (consecutive frames for video) for spans outside the network; default: synthetic ones.",
)
@click.option(
    "--attempts", type=click.IntRange(min=1), help="Tries where other load spoils a run; default: protocol's."
)
@click.option("--runtime", default="onnxruntime_cpu", show_default=True, help="Inference engine of the network.")
@core_option()
@_timing_options
def host(record: bool, as_json: bool, **words: Any) -> None:
    """Time models on one core of this machine, in interleaved rounds.

    Gives median, 90th percentile, wall and CPU milliseconds, validity, and the CPU-time ratio to the first model with
    its bootstrap interval. Exit code 3 if nothing valid was measured.
    """
    from suite.latency.report import report_table
    from suite.latency.request import measure_here

    report = measure_here(record=record, **words)
    show(as_json, report.to_json(), report_table(report))
    report.require_valid("latency: no candidate")


@command.command(name="breakdown")
@click.option("--model", default="mobileinst_topformer_base_640", show_default=True, help="Model to look at.")
@size_option("the model's own")
@click.option(
    "--rounds",
    type=click.IntRange(10, 50_000),
    default=10,
    show_default=True,
    help="Interleaved rounds; an interval needs several.",
)
@core_option()
@seed_option("Seed of the random weights.")
@record_option()
@json_option()
def breakdown(
    model: str, size: tuple[int, int] | None, rounds: int, core: int | None, seed: int, record: bool, as_json: bool
) -> None:
    """Say where every millisecond of a network goes: by module, by layer, against what the core can do.

    Times the graph as exported for ONNX Runtime, the graph as torch's exporter leaves it, a large matrix
    product and a 3x3 convolution in the same rounds, then profiles the first one node by node.
    """
    from suite.latency.breakdown import breakdown_table, measure_breakdown, record_lines, to_json
    from suite.records.provenance import start_run
    from suite.records.store import write_run

    found = measure_breakdown(model, size, rounds, core, seed)
    if record:
        write_run(start_run("latency-breakdown", seed=seed), record_lines(found))
    show(as_json, to_json(found), breakdown_table(found))


@command.command(name="estimate")
@click.option("--models", metavar="A,B,...", help="Models, or: published, all that the paper gives a phone's time of.")
@click.option("--onnx", "graphs", multiple=True, metavar="FILE[:NAME]", help="Somebody's ONNX graph; may be repeated.")
@click.option("--program", type=EXISTING, help="An aarch64 Linux program; what follows -- are its arguments.")
@click.option("--name", default="", help="How tables call what --program runs; default: the file's name.")
@click.option("--engine", default="unnamed", show_default=True, help="How tables call what --program is built on.")
@click.option("--precision", default="fp16,fp32", show_default=True, metavar="P,...", help="fp16, fp32 or both.")
@click.option("--core", default="cortex_a78", show_default=True, help="A file of suite/latency/estimate/cores.")
@size_option("the model's own")
@click.option("--count-again", "again", is_flag=True, help="Count here also what comes counted with the suite.")
@click.option("--set-up", "set_up_only", is_flag=True, help="Fetch (40 MB) and compile what counting needs, and end.")
@click.option("--update-counts", is_flag=True, hidden=True, help="Put the counts made here into counts.csv.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@record_option()
@json_option()
def estimate(
    models: str | None,
    graphs: tuple[str, ...],
    program: Path | None,
    name: str,
    engine: str,
    precision: str,
    core: str,
    size: tuple[int, int] | None,
    again: bool,
    set_up_only: bool,
    update_counts: bool,
    arguments: tuple[str, ...],
    record: bool,
    as_json: bool,
) -> None:
    """Estimate milliseconds of an Arm core from counted instructions, without the device.

    Cycles that llvm-mca models for the counted blocks, over the core's clock; nothing is fitted. The interval comes
    from published one-thread times of other networks. What does not come counted with the suite is counted here, under
    emulation (docs/latency.md). Exit code 3 if a tool for that is missing.
    """
    from suite.errors import InputError
    from suite.export.artifact import item_shapes
    from suite.export.kept import copy_given
    from suite.latency.estimate import calibration, counting
    from suite.latency.estimate.tools import set_up
    from suite.latency.prepare import named_files
    from suite.latency.request import words_of
    from suite.records.provenance import start_run
    from suite.records.store import write_run

    if set_up_only:
        set_up()
        return
    chosen = calibration.load_core(core)
    if bool(models) + bool(graphs) + bool(program) == 0:
        raise InputError("latency estimate: nothing to estimate; give --models, --onnx or --program")
    if arguments and program is None:
        raise InputError(f"{arguments[0]}: only --program takes arguments; name what to estimate by an option")
    if size is not None and not models:
        raise InputError("--size: only --models takes one; a graph of --onnx has its own, a program none")
    precisions = words_of(precision, "--precision", counting.PRECISIONS)
    files = named_files(graphs)
    counts = counting.model_counts(words_of(models, "--models"), precisions, chosen, size, again) if models else []
    for title, path in files.items():
        item_shapes(path)  # names the user's file, not its copy
        graph = copy_given(path, title)[0]
        counts += [counting.count_graph(title, graph, "network", each, chosen.mca_model) for each in precisions]
    if program is not None:
        stated = precisions[0] if len(precisions) == 1 else ""
        counts.append(counting.program_count(program, arguments, name, engine, stated, chosen))
    errors = calibration.compare(chosen, calibration.load_counts(), calibration.load_published())
    found = [calibration.estimate(count, chosen, errors) for count in counts]
    if update_counts:
        counting.update_counts(counts)
    if record:
        write_run(start_run("latency-estimate"), calibration.record_lines(found, core))
    values = {"origin": "estimated", "results": [item.to_json() for item in found]}
    show(as_json, values, calibration.estimate_table(found, errors))


@command.command(name="count-readings", hidden=True)
def count_readings() -> None:
    """Count the MACs of every reading of the published rows again and rewrite their CSV files (developers)."""
    from suite.models._readings import write_readings

    write_readings()


@command.command(name="gate")
@click.option("--baseline", metavar="REV", help="Commit to compare with; default: HEAD if files changed, else HEAD~1.")
@click.option("--models", metavar="A,B,...", help="Models to compare; default: those of suite/latency/gate.toml.")
@click.option("--tolerance", type=FiniteRange(0, 1, max_open=True), help="Permitted growth; default: gate.toml's.")
@click.option("--cycles", is_flag=True, help="Compare cycles of an emulated inference, which are exact, and no time.")
@core_option()
@json_option("lines")
def gate(
    baseline: str | None, models: str | None, tolerance: float | None, cycles: bool, core: int | None, as_json: bool
) -> None:
    """Compare this code's graphs with another commit's, on one core, interleaved.

    Fails (exit code 1) if the bootstrap interval of the CPU-time ratio clears the tolerance, or if parameters, MACs,
    operators or peak tensor memory differ at all; exit code 3 if nothing was compared, or a tool that --cycles needs is
    missing (docs/latency.md).
    """
    from suite.latency import gate as gates
    from suite.latency.device import load_device
    from suite.latency.estimate.calibration import load_core
    from suite.latency.estimate.tools import find_tools
    from suite.latency.prepare import prepare_model
    from suite.latency.request import words_of

    rules = gates.load_gate()
    names, permitted = (rules.cycle_models, rules.cycle_tolerance) if cycles else (rules.models, rules.tolerance)
    names = names if models is None else words_of(models, "--models")
    permitted = permitted if tolerance is None else tolerance
    if cycles:
        find_tools()
        compare = partial(gates.compare_cycles, core=load_core("cortex_a78"), tolerance=permitted)
    else:
        protocol = load_device("host").protocol(rules.protocol)
        compare = partial(gates.compare, protocol=protocol, tolerance=permitted, core=core)
    runtime, sha = "ncnn_cpu" if cycles else "onnxruntime_cpu", gates.resolve_commit(baseline)
    current = {name: prepare_model(name, runtime=runtime).graphs["whole"] for name in names}
    before = gates.baseline_graphs(sha, names, runtime=runtime)
    results = []
    for name in names:
        results.append(compare(name, before[name], current[name]))
        if not as_json:
            click.echo(results[-1].line())
    if as_json:
        outcomes = [dataclasses.asdict(result) for result in results]
        click.echo(json.dumps({"baseline": sha, "tolerance": permitted, "results": outcomes}, allow_nan=False))
    gates.end_gate(results)


@command.command(name="device")
@click.option("--models", metavar="A,B,...", help="Models to time, anchor first; without it the device is looked at.")
@click.option("--device", "name", help="Device file to match; default: snapdragon_778g, with --ssh board.")
@click.option("--serial", help="Which phone, if several are connected (see adb devices).")
@click.option("--ssh", metavar="USER@HOST", help="A Linux board instead of a phone; keys belong in ~/.ssh/config.")
@click.option("--folder", default="/tmp", show_default=True, help="Folder on a board whose storage lets programs run.")
@click.option(
    "--engine", type=click.Choice(["ncnn", "ncnn_fp16"]), default="ncnn", show_default=True, help="What runs the graph."
)
@click.option("--runner", type=EXISTING, help="The runner; default: where docs/phone.md builds it.")
@click.option("--core", type=click.IntRange(0, 63), help="Core to measure on; default: the fastest.")
@_timing_options
def device(
    models: str | None,
    name: str | None,
    serial: str | None,
    ssh: str | None,
    folder: str,
    core: int | None,
    record: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Time models on one core of a phone over adb or of a Linux board over ssh, or only look at the device.

    Without --models and --onnx: chip, cores, pinning, frequency cap and temperature against the device file; nothing is
    timed. With them: a runner (docs/phone.md) and the graphs are pushed, timed in blocks, and removed. No setting is
    changed. Exit code 2 if no device can be reached, 3 if something stands against measuring or a rule is broken.
    """
    from suite.errors import InputError, NothingMeasuredError
    from suite.latency.device import load_remote
    from suite.latency.remote.target import open_target
    from suite.latency.report import report_table
    from suite.latency.request import measure_device

    known = load_remote(name or ("board" if ssh else "snapdragon_778g"))
    reach = partial(open_target, known, serial, ssh, folder, core)
    if models is None and not words["given"]:
        if record:
            raise InputError("--record: a look at a device is not recorded; name --models to time")
        target = reach()
        show(as_json, target.to_json(), target.text())
        if target.refusals:
            refused = "; ".join(finding.what for finding in target.refusals)
            raise NothingMeasuredError(f"{target.transport.title}: not ready ({refused})")
        return
    report = measure_device(known, reach, models=models, record=record, **words)
    show(as_json, report.to_json(), report_table(report))
    if report.invalid:
        raise NothingMeasuredError(f"latency: {'; '.join(report.invalid)}; nothing was recorded")

"""``latency``: how long a model takes on one core, and whether the number may be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.command_group import CommandGroup
from suite.command_options import core_option, json_option, options, record_option, seed_option, size_option

if TYPE_CHECKING:
    from suite.latency.remote.report import RemoteReport


@click.group(name="latency", cls=CommandGroup)
def command() -> None:
    """Time models on one core, one thread, fp32, by a protocol with rules."""


@command.command(name="host")
@click.option(
    "--models", required=True, metavar="A,B,...", help="Models to time, interleaved; the first is the anchor."
)
@size_option()
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Weights of the named model that the file holds; may be repeated. Other models get seeded random weights.",
)
@click.option(
    "--spans",
    help="What the clock covers: network, with_masks (the network up to 100 instances' masks), selection, preprocess, "
    "postprocess, video_network, video (end to end per frame). Default: network, preprocess and postprocess for "
    "MobileInst; network, with_masks where it is another graph, and selection for prior art.",
)
@click.option("--key-frame-intervals", default="1,3,6", show_default=True, help="T of the video spans.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of pictures (consecutive frames for video) for spans outside the network; default: synthetic ones.",
)
@click.option("--pairs", type=click.IntRange(min=1), help="Samples per model; default: the protocol's.")
@click.option(
    "--attempts", type=click.IntRange(min=1), help="Tries where other load spoils a run; default: protocol's."
)
@click.option("--protocol", default="standard", show_default=True, help="standard, or strict (MLPerf Mobile's counts).")
@core_option()
@seed_option("Seed of random weights and synthetic inputs.")
@click.option("--runtime", default="onnxruntime_cpu", show_default=True, help="Inference engine of the network.")
@record_option()
@json_option()
def host(seed: int, record: bool, as_json: bool, **words: Any) -> None:
    """Time models on one core of this machine, in interleaved rounds.

    Gives median, 90th percentile, wall and CPU milliseconds, validity, and the CPU-time ratio to the first model with
    its bootstrap interval. Exit code 3 if nothing valid was measured.
    """
    from suite.errors import NothingMeasuredError
    from suite.latency.request import HostRequest, measure_request, write_record
    from suite.latency.table import report_table

    report = measure_request(HostRequest.from_text(seed=seed, **words))
    if record:
        write_record(report, seed)
    click.echo(json.dumps(report.to_json(), allow_nan=False) if as_json else report_table(report))
    if report.valid_count == 0:
        raise NothingMeasuredError("latency: no candidate was valid; stop other work on the machine and run again")


@command.command(name="breakdown")
@click.option("--model", default="mobileinst_topformer_base_640", show_default=True, help="Model to look at.")
@size_option("the model's own")
@click.option("--rounds", type=click.IntRange(min=2), default=10, show_default=True, help="Interleaved rounds.")
@core_option()
@seed_option("Seed of the random weights.")
@record_option()
@json_option()
def breakdown(
    model: str, size: tuple[int, int] | None, rounds: int, core: int | None, seed: int, record: bool, as_json: bool
) -> None:
    """Say where every millisecond of a network goes: by module, by layer, against a matrix product.

    Times the graph as exported for ONNX Runtime, the graph as torch's exporter leaves it and a large matrix product in
    the same rounds, then profiles the first one node by node.
    """
    from suite.latency.breakdown import measure_breakdown, write_record
    from suite.latency.breakdown_table import breakdown_table, to_json

    found = measure_breakdown(model, size, rounds, core, seed)
    if record:
        write_record(found, seed)
    click.echo(json.dumps(to_json(found), allow_nan=False) if as_json else breakdown_table(found))


@command.command(name="count-readings", hidden=True)
def count_readings() -> None:
    """Count the MACs of every reading of the published rows again and rewrite their CSV files (developers)."""
    from suite.latency.forensic_counts import write_readings

    write_readings()


@command.command(name="gate")
@click.option(
    "--baseline",
    metavar="REV|RECORD",
    help="Commit, or record (.jsonl) whose commit, to compare with; default: HEAD if files changed, else HEAD~1.",
)
@click.option("--models", metavar="A,B,...", help="Models to compare; default: those of suite/latency/gate.toml.")
@click.option("--tolerance", type=click.FloatRange(0, 1, max_open=True), help="Permitted growth; default: gate.toml's.")
@core_option()
@json_option("lines")
def gate(baseline: str | None, models: str | None, tolerance: float | None, core: int | None, as_json: bool) -> None:
    """Compare this code's graphs with another commit's, on one core, interleaved.

    Fails (exit code 1) if the bootstrap interval of the CPU-time ratio clears the tolerance, or if parameters, MACs,
    operators or peak tensor memory differ at all; exit code 3 if nothing was compared.
    """
    from suite.latency import gate as gates
    from suite.latency.baseline import baseline_graphs, resolve_commit
    from suite.latency.device import load_device
    from suite.latency.prepare import prepare_model
    from suite.latency.request import words_of

    rules = gates.load_gate()
    names = rules.models if models is None else words_of(models, "--models")
    permitted = rules.tolerance if tolerance is None else tolerance
    protocol = load_device("host").protocol(rules.protocol)
    sha = resolve_commit(baseline)
    current = {name: prepare_model(name).timed.graphs["whole"] for name in names}
    before = baseline_graphs(sha, names)
    results = []
    for name in names:
        results.append(gates.compare(name, before[name], current[name], protocol, permitted, core))
        if not as_json:
            click.echo(results[-1].line())
    if as_json:
        click.echo(json.dumps(gates.to_json(results, sha, permitted), allow_nan=False))
    gates.settle(results)


def _remote_options(function: Any) -> Any:
    """Add the options that a phone and a board share."""
    existing = click.Path(path_type=Path, dir_okay=False)
    shared = (
        size_option(),
        click.option("--checkpoint", "checkpoints", multiple=True, type=existing, help="Weights; may be repeated."),
        click.option("--engine", default="ncnn", show_default=True, help="ncnn, ncnn_fp16 or onnxruntime."),
        click.option("--runner", type=existing, help="The runner; default: where docs/phone.md builds it."),
        click.option("--library", "libraries", multiple=True, type=existing, help="Library the runner takes along."),
        click.option("--pairs", type=click.IntRange(min=1), help="Samples per model; default: the protocol's."),
        click.option("--protocol", default="standard", show_default=True, help="standard or strict (MLPerf's counts)."),
        click.option("--core", type=click.IntRange(0, 63), help="Core to measure on; default: the fastest it tells."),
        seed_option("Seed of random weights and inputs."),
        click.option("--record", is_flag=True, help="Also write a record under reports/records, if all is valid."),
        json_option(),
    )
    return options(*shared)(function)


def _finish(report: RemoteReport, kind: str, seed: int, record: bool, as_json: bool, private: str) -> None:
    """Print a report, record it if asked to, and end with exit code 3 if a candidate is invalid."""
    from suite.errors import NothingMeasuredError
    from suite.latency.remote.report import invalid_names, write_remote_record

    click.echo(json.dumps(report.to_json(), allow_nan=False) if as_json else report.text())
    if not report.valid:
        raise NothingMeasuredError(f"latency: {invalid_names(report.results)} invalid; nothing was recorded")
    if record:
        write_remote_record(report, kind, seed, private)


@command.command(name="phone")
@click.option("--models", metavar="A,B,...", help="Models to time, anchor first; without it the phone is looked at.")
@click.option("--device", default="snapdragon_778g", show_default=True, help="Device file the phone has to match.")
@click.option("--serial", help="Which phone, if several are connected (see adb devices).")
@_remote_options
def phone(
    models: str | None,
    device: str,
    serial: str | None,
    core: int | None,
    seed: int,
    record: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Time models on one core of a phone over adb, or only look at the phone.

    Without --models: chip, cores, pinning, frequency cap, temperature, battery, screen and space against the device
    file; nothing is timed or changed. With it: a runner (docs/phone.md) and the models are pushed, timed in blocks, and
    removed, and every setting is put back. Exit code 2 if no phone can be reached, 3 if something stands against
    measuring or a rule is broken.
    """
    from suite.errors import InputError, NothingMeasuredError
    from suite.latency.device import load_device
    from suite.latency.phone.adb import Adb
    from suite.latency.phone.inspect import inspect_phone

    known = load_device(device)
    if models is None:
        if record:
            raise InputError("--record: a look at the phone is not recorded; name --models to time")
        report = inspect_phone(Adb(serial), known, core)
        click.echo(json.dumps(report.to_json(), allow_nan=False) if as_json else report.text())
        refusals = [finding.what for finding in report.findings if finding.refuses]
        if refusals:
            raise NothingMeasuredError(f"phone {report.serial}: not ready ({'; '.join(refusals)})")
        return
    from suite.latency.phone.target import phone_target
    from suite.latency.remote.request import RemoteRequest, measure_request_on

    request = RemoteRequest.from_text(models=models, seed=seed, device=known, **words)
    target, notes = phone_target(Adb(serial), known, core)
    _finish(measure_request_on(target, request, notes), "latency-phone", seed, record, as_json, serial or "")


@command.command(name="board")
@click.argument("address", metavar="USER@HOST")
@click.option("--models", required=True, metavar="A,B,...", help="Models to time; the first is the anchor.")
@click.option("--device", default="board", show_default=True, help="Device file with the board's guards.")
@click.option("--folder", default="/tmp", show_default=True, help="Folder there, whose storage lets programs run.")
@_remote_options
def board(
    address: str,
    models: str,
    device: str,
    folder: str,
    core: int | None,
    seed: int,
    record: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Time models on one core of a Linux board over ssh, as on a phone.

    Keys, ports and jump hosts belong in ~/.ssh/config; no password is asked for. Exit code 2 if the board cannot be
    reached, 3 if something stands against measuring or a rule is broken.
    """
    from suite.latency.board.ssh import Ssh
    from suite.latency.board.target import board_target
    from suite.latency.device import load_device
    from suite.latency.remote.request import RemoteRequest, measure_request_on

    known = load_device(device)
    request = RemoteRequest.from_text(models=models, seed=seed, device=known, **words)
    target, notes = board_target(Ssh(address, folder), known, core)
    _finish(measure_request_on(target, request, notes), "latency-board", seed, record, as_json, address)

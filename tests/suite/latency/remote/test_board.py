"""``latency board`` and what it shares with the phone, against an ssh that runs everything on this computer."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from suite.cli import main
from suite.errors import USAGE, InputError, NothingMeasuredError
from suite.latency.board.ssh import Ssh
from suite.latency.board.target import BoardTarget, board_target, read_board
from suite.latency.device import Device
from suite.latency.phone.state import parse_state
from suite.latency.remote.engine import Engine
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.report import RemoteReport, write_remote_record
from suite.latency.remote.runner import Runner
from suite.latency.timed_model import TimedModel
from suite.records.schema import Measurement, Series
from suite.records.store import read_folder
from tests.suite.latency.remote.conftest import FakeSsh, patient, quick_blocks

Make = Callable[..., TimedModel]


@pytest.fixture
def measure(
    board: FakeSsh, board_device: Device, engine: Engine, runner: Runner, usable_core: int
) -> Iterator[Callable[..., RemoteReport]]:
    """Measures models on the board; afterwards nothing may be left there."""

    def run(*models: TimedModel, blocks: int = 1, **changes: Any) -> RemoteReport:
        device = quick_blocks(board_device, blocks)
        target, notes = board_target(Ssh("user@board", str(board.base)), device, usable_core)
        protocol = changes.pop("protocol", patient(board_device.protocol()))
        return measure_remote(target, models, protocol, changes.pop("engine", engine), runner, notes=notes, **changes)

    yield run
    assert list(board.base.iterdir()) == []


def broken(report: RemoteReport) -> set[str]:
    return {problem.rule for result in report.results for problem in result.verdict.problems}


def test_two_models_are_timed_interleaved_in_blocks_and_judged(
    measure: Callable[..., RemoteReport], make_model: Make, usable_core: int
) -> None:
    report = measure(make_model("model_a"), make_model("model_b", channels=24), blocks=2)
    assert broken(report) == set()
    first, second = report.results
    assert first.samples == second.samples >= 8
    assert (first.positions, second.positions) == ((0, 3), (1, 2))  # A B B A
    assert second.ratio_cpu.value > 1.5  # three times the work
    assert first.anchor == second.anchor == "model_a network"
    assert {reading for answer in report.answers for line in answer.rounds for reading in line.affinities} == {
        str(usable_core)
    }
    assert len(report.answers) == 2
    assert report.results[0].engine["runtime"] == "convolution"


def test_what_runs_on_this_computer_is_never_called_a_board(
    measure: Callable[..., RemoteReport], make_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "repository"))
    report = measure(make_model())
    assert report.answered.by == "this computer"
    assert "no real device: this computer answered" in report.text()
    monkeypatch.setattr("sys.argv", ["suite", "latency", "board", "user@board", "--record"])
    write_remote_record(report, "latency-board", 0, "user@board")
    (run,), refused = read_folder(tmp_path / "repository" / "reports" / "records")
    assert refused == []
    lines: list[Measurement | Series] = [*run.measurements, *run.series]
    for line in lines:
        assert line.protocol["device"] == "stand-in"
        assert line.protocol["answered_by"] == "this computer"
        assert line.protocol["real_device"] is False
    assert {line.name for line in run.series} == {"latency_samples", "device_state"}
    assert run.run.command == "python -m suite latency board DEVICE --record"
    assert "user@board" not in run.path.read_text(encoding="utf-8")
    own = platform.uname()  # its first word, the host name, is nobody's business
    assert run.series[0].protocol["device_build"] == " ".join((own.release, own.version, own.machine))


@pytest.mark.parametrize(
    ("behaviour", "rule"),
    [
        ("wanders", "not_pinned"),
        ("helped", "more_than_one_thread"),
        ("remembers", "cached"),
        ("halved", "precision_not_fp32"),
    ],
)
def test_each_rule_broken_on_the_device_is_named_and_nothing_is_recorded(
    measure: Callable[..., RemoteReport],
    make_model: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    rule: str,
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "repository"))
    report = measure(make_model(behaviour=behaviour, channels=48))
    assert rule in broken(report)
    with pytest.raises(NothingMeasuredError, match=f"model_a network .*{rule}.* invalid, so nothing was recorded"):
        write_remote_record(report, "latency-board", seed=0)
    assert not (tmp_path / "repository").exists()


def test_outputs_of_the_device_are_compared_with_the_scored_model(
    measure: Callable[..., RemoteReport], make_model: Make
) -> None:
    assert broken(measure(make_model(spoiled=0.01))) == {"outputs_differ"}


def test_too_short_a_run_is_invalid(
    measure: Callable[..., RemoteReport], make_model: Make, board_device: Device
) -> None:
    protocol = dataclasses.replace(patient(board_device.protocol(), samples=100_000), max_duration_s=0.02)
    assert broken(measure(make_model(), protocol=protocol)) == {"too_few_samples"}


def test_a_graph_that_is_not_the_exported_one_is_never_pushed(
    measure: Callable[..., RemoteReport], make_model: Make, board: FakeSsh
) -> None:
    model = make_model()
    changed = dataclasses.replace(model.graphs["whole"], sha256="0" * 64)
    with pytest.raises(NothingMeasuredError, match=r"INVALID before it was pushed \(outputs_differ"):
        measure(dataclasses.replace(model, graphs={"whole": changed}))
    assert "mktemp -d" not in board.commands


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("dies", "killed .signal 9., most likely for want of memory"),
        ("refuses", "the runner gave up .convolution: this graph is not for me."),
        ("hangs", "did not end in 1 s"),
    ],
)
def test_a_runner_that_fails_is_one_line_with_its_cause(
    measure: Callable[..., RemoteReport],
    make_model: Make,
    monkeypatch: pytest.MonkeyPatch,
    behaviour: str,
    message: str,
    board_device: Device,
) -> None:
    monkeypatch.setattr("suite.latency.remote.session.LOADING_LIMIT_S", 1 if behaviour == "hangs" else 60)
    protocol = dataclasses.replace(patient(board_device.protocol()), max_duration_s=0.02)
    with pytest.raises(NothingMeasuredError, match=message) as caught:
        measure(make_model(behaviour=behaviour), protocol=protocol)
    assert "\n" not in str(caught.value)


SAID = {
    "unknown host": ("ssh: Could not resolve hostname board: Name or service not known\n", "no host of that name"),
    "refused": ("ssh: connect to host board port 22: Connection refused\n", "ssh server is not running"),
    "silent": ("ssh: connect to host board port 22: Connection timed out\n", "does not answer"),
    "no network": ("ssh: connect to host 10.0.0.5 port 22: Network is unreachable\n", "check this computer's network"),
    "unknown key": ("Host key verification failed.\n", "check the key"),
    "no key": ("user@board: Permission denied (publickey,password).\n", "ssh-copy-id"),
}


@pytest.mark.parametrize(("text", "message"), SAID.values(), ids=SAID.keys())
def test_a_board_that_cannot_be_reached_is_one_line(
    board: FakeSsh, compiled: Path, capsys: pytest.CaptureFixture[str], text: str, message: str
) -> None:
    board.says(text)
    words = ["user@board", "--models", "mobileinst_topformer_tiny_shapes", "--runner", str(compiled)]
    assert main(["latency", "board", *words]) == USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-oProxyCommand=x", "--models", "a"], "No such option"),
        (["user@bo ard", "--models", "mobileinst_topformer_tiny_shapes"], "give user@host"),
        (
            ["user@board", "--models", "a", "--engine", "abacus"],
            "abacus: no such engine; known engines: ncnn, ncnn_fp16",
        ),
        (["user@board", "--models", "a", "--runner", "absent"], "absent"),
        (["user@board", "--models", "a", "--device", "host"], "no such file; build the runners"),
    ],
)
def test_bad_words_are_one_line(
    board: FakeSsh,
    compiled: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    words: list[str],
    message: str,
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    if "bo ard" in words[0]:
        words = [*words, "--runner", str(compiled)]
    assert main(["latency", "board", *words]) == USAGE
    assert message in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_named(board: FakeSsh) -> None:
    with pytest.raises(InputError, match=r"the board has no folder .*/absent to work in; name another with --folder"):
        Ssh("user@board", str(board.base / "absent"))


def test_a_board_without_timeout_is_not_told_that_its_folder_is_absent(board: FakeSsh) -> None:
    program = board.folder / "timeout"  # as a shell says it that has none
    program.write_text("#!/bin/sh\necho 'sh: timeout: not found' >&2\nexit 127\n")
    program.chmod(0o755)
    with pytest.raises(InputError, match=r"the board lacks timeout -s KILL \(sh: timeout: not found\); install"):
        Ssh("user@board", str(board.base))


def test_a_connection_lost_in_mid_command_is_told_from_a_command_that_failed(board: FakeSsh) -> None:
    connected = Ssh("user@board", str(board.base))
    assert connected.shell("exit 37").code == 37
    board.says("")
    with pytest.raises(NothingMeasuredError, match="the board was lost in mid-command"):
        connected.shell("true")


def test_a_copy_counts_once_its_digest_there_is_ours(board: FakeSsh, tmp_path: Path) -> None:
    connected, blob = Ssh("user@board", str(board.base)), tmp_path / "blob.bin"
    blob.write_bytes(bytes(range(256)) * 100)
    connected.push(blob, f"{board.base}/blob.bin")
    connected.pull(f"{board.base}/blob.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == blob.read_bytes()
    with pytest.raises(InputError, match=r"has no file absent\.bin"):
        connected.pull(f"{board.base}/absent.bin", tmp_path / "absent.bin")
    assert not (tmp_path / "absent.bin").exists()


def test_a_board_is_not_told_what_only_a_phone_can_do(board: FakeSsh, board_device: Device) -> None:
    with pytest.raises(
        NothingMeasuredError, match=r"nothing can be pinned to core 63: .* name another --core"
    ) as caught:
        board_target(Ssh("user@board", str(board.base)), board_device, 63)
    assert not any(words in str(caught.value) for words in ("the phone", "another phone", "adb", "cores 4 to 6"))


def test_no_zone_hides_another_of_its_type() -> None:
    zone = "/sys/class/thermal/thermal_zone"
    told = ((f"{zone}{number}", degrees) for number, degrees in enumerate((95000, 27800)))
    zones = "".join(f"{folder}/type:acpitz\n{folder}/temp:{degrees}\n" for folder, degrees in told)
    state = parse_state({"zones": zones})
    assert state.zones_c == {"acpitz": 95.0, "acpitz#2": 27.8}
    assert state.zone_files == {"acpitz": f"{zone}0/temp", "acpitz#2": f"{zone}1/temp"}


def test_a_board_that_is_too_hot_is_waited_for_and_then_given_up(
    board: FakeSsh, board_device: Device, usable_core: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = Ssh("user@board", str(board.base))
    hot = dataclasses.replace(read_board(connected), zones_c={"cpu-thermal": 91.0})
    monkeypatch.setattr("suite.latency.board.target.read_board", lambda board: hot)
    target = BoardTarget(connected, board_device, usable_core, hot)
    waits: list[float] = []
    with pytest.raises(NothingMeasuredError, match=r"sensor cpu-thermal reads 91 C \(limit 70\) after"):
        target.wait_until_ready(waits.append)
    assert sum(waits) >= 0.05

"""``latency device --ssh``, and what phones and boards share: folders of our own, bounded answers, judged runs."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
import os
import platform
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suite.errors import USAGE, InputError, NothingMeasuredError
from suite.latency.device import Board
from suite.latency.remote import target as targets
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.plan import Engine
from suite.latency.remote.session import PREFIX, work_folder
from suite.latency.remote.state import read_state
from suite.latency.remote.target import Target
from suite.latency.remote.transport import ANSWER_LIMIT_BYTES, NOT_ENDED, Ssh, run_client
from suite.latency.report import LatencyReport, write_report
from suite.latency.spans import TimedModel
from suite.records.schema import Measurement, Series
from suite.records.store import read_folder
from tests.suite.latency.remote.conftest import FakeSsh, patient, quick_blocks

Measure = Callable[..., LatencyReport]
Patch = pytest.MonkeyPatch
Make = Callable[..., TimedModel]
MODEL = "mobileinst_topformer_tiny_shapes"


@pytest.fixture
def measure(board: FakeSsh, board_device: Board, engine: Engine, compiled: Path, usable_core: int) -> Iterator[Measure]:
    """Measures models on the board; afterwards nothing may be left there."""

    def run(*models: TimedModel, blocks: int = 1, **changes: Any) -> LatencyReport:
        device = quick_blocks(board_device, blocks)
        target = Target(Ssh("user@board", str(board.base)), device, usable_core)
        protocol = changes.pop("protocol", patient(board_device.protocol()))
        return measure_remote(target, models, protocol, changes.pop("engine", engine), compiled, **changes)

    yield run
    assert list(board.base.iterdir()) == []


def broken(report: LatencyReport) -> set[str]:
    return {rule for result in report.results for rule in result.broken_rules}


def test_two_models_are_timed_interleaved_in_blocks_and_judged(measure: Measure, make_model: Make) -> None:
    report = measure(make_model("model_a"), make_model("model_b", channels=24), blocks=2)
    assert broken(report) == set()
    first, second = report.results
    assert first.samples == second.samples >= 8
    assert (first.positions, second.positions) == ((0, 3), (1, 2))  # A B B A
    assert second.ratio_cpu is not None
    assert second.ratio_cpu.value > 1.5  # three times the work
    assert first.anchor == second.anchor == "model_a network"
    assert report.device["blocks"] == 2
    assert first.engine["runtime"] == "convolution"


def test_what_runs_on_this_computer_is_recorded_as_a_stand_in(
    measure: Measure, make_model: Make, own_runs: Path
) -> None:
    report = measure(make_model())
    write_report(report, "latency-device", 0)
    (run,), refused = read_folder(own_runs / "reports" / "records")
    assert refused == []
    lines: list[Measurement | Series] = [*run.measurements, *run.series]
    for line in lines:
        assert (line.protocol["device"], line.protocol["real_device"]) == ("stand-in", False)
    assert {line.name for line in run.series} == {"latency_samples", "device_state"}
    assert "user@board" not in run.path.read_text(encoding="utf-8")
    own = platform.uname()  # its host name is left out
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
def test_each_rule_broken_on_the_device_is_named(measure: Measure, make_model: Make, behaviour: str, rule: str) -> None:
    report = measure(make_model(behaviour=behaviour, channels=48))
    assert rule in broken(report)
    assert report.valid_count == 0


def test_outputs_of_the_device_are_compared_with_the_scored_model(measure: Measure, make_model: Make) -> None:
    assert broken(measure(make_model(spoiled=0.01))) == {"outputs_differ"}


def test_a_graph_that_is_not_the_exported_one_is_never_pushed(
    measure: Measure, make_model: Make, board: FakeSsh
) -> None:
    model = make_model()
    changed = dataclasses.replace(model.graphs["whole"], sha256="0" * 64)
    with pytest.raises(NothingMeasuredError, match="outputs_differ"):
        measure(dataclasses.replace(model, graphs={"whole": changed}))
    assert "mkdir" not in board.commands


@pytest.mark.parametrize("behaviour", ["dies", "refuses", "hangs"])
def test_a_runner_that_fails_is_one_line_and_leaves_nothing(
    measure: Measure, make_model: Make, monkeypatch: Patch, behaviour: str, board_device: Board
) -> None:
    monkeypatch.setattr("suite.latency.remote.session.LOADING_LIMIT_S", 1 if behaviour == "hangs" else 60)
    protocol = msgspec.structs.replace(patient(board_device.protocol()), max_duration_s=0.02)
    with pytest.raises(NothingMeasuredError) as caught:
        measure(make_model(behaviour=behaviour), protocol=protocol)
    assert "\n" not in str(caught.value)


def test_a_board_that_cannot_be_reached_is_one_line_with_what_ssh_said(
    board: FakeSsh, compiled: Path, refused: Any
) -> None:
    text = "ssh: Could not resolve hostname board: Name or service not known"
    board.says(text + "\n")
    words = ["latency", "device", "--ssh", "user@board", "--models", MODEL, "--runner", compiled]
    assert text in refused(words, USAGE)


def test_an_answer_is_read_up_to_a_limit_and_a_client_that_hangs_is_given_up(board: FakeSsh) -> None:
    connected = Ssh("user@board", str(board.base))
    assert len(connected.shell("head -c 3000000 /dev/zero").output) == 3_000_000
    with pytest.raises(NothingMeasuredError, match=str(ANSWER_LIMIT_BYTES)):
        connected.shell("cat /dev/zero")
    assert run_client(["sleep", "30"], timeout_s=0.2).code == NOT_ENDED


def test_a_copy_counts_once_its_digest_there_is_ours(board: FakeSsh, tmp_path: Path) -> None:
    connected, blob = Ssh("user@board", str(board.base)), tmp_path / "blob.bin"
    blob.write_bytes(bytes(range(256)) * 100)
    connected.push(blob, f"{board.base}/blob.bin")
    assert connected.read(f"{board.base}/blob.bin") == blob.read_bytes()
    with pytest.raises(NothingMeasuredError, match="sent more"):
        connected.read(f"{board.base}/blob.bin", limit_bytes=20_000)
    with pytest.raises(InputError, match=r"absent\.bin"):
        connected.read(f"{board.base}/absent.bin")


def test_nothing_that_somebody_else_left_on_a_shared_board_is_run_or_removed(board: FakeSsh, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    for name in ("mobileinst-suite.abcdef", f"{PREFIX}{'0' * 32}"):
        foreign = board.base / name
        foreign.mkdir()
        (foreign / "restore.sh").write_text(f"touch {proof}\n")
        (foreign / "runner.pid").write_text(f"{os.getpid()}\n")
    with work_folder(Ssh("user@board", str(board.base))) as folder:
        made = Path(folder)
        assert made.stat().st_mode & 0o777 == 0o700
        assert made.stat().st_uid == os.getuid()
    assert not made.exists()
    assert not proof.exists()
    assert len(list(board.base.iterdir())) == 2


def test_a_folder_exchanged_for_a_link_is_not_followed(board: FakeSsh, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()
    with work_folder(Ssh("user@board", str(board.base))) as folder:
        Path(folder).rmdir()
        Path(folder).symlink_to(elsewhere)
    assert (elsewhere / "precious").exists()


def test_a_base_folder_in_which_others_may_exchange_ours_is_refused(board: FakeSsh, monkeypatch: Patch) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a folder to somebody else")
    os.chown(board.base, 65534, 65534)
    board.base.chmod(0o777)
    with pytest.raises(InputError, match="--folder"), work_folder(Ssh("user@board", str(board.base))):
        pass
    board.base.chmod(0o1777)
    with work_folder(Ssh("user@board", str(board.base))):
        pass


def test_two_measurements_do_not_meet_on_one_board(board: FakeSsh) -> None:
    connected = Ssh("user@board", str(board.base))
    with work_folder(connected):
        with pytest.raises(InputError), work_folder(connected):
            pass
        assert len(list(board.base.iterdir())) == 1
    assert list(board.base.iterdir()) == []


def test_a_board_that_is_too_hot_is_waited_for_and_then_given_up(
    board: FakeSsh, board_device: Board, usable_core: int, monkeypatch: Patch
) -> None:
    connected = Ssh("user@board", str(board.base))
    hot = dataclasses.replace(read_state(connected), zones_c={"cpu-thermal": 91.0})
    monkeypatch.setattr(targets, "read_state", lambda device: hot)
    target = Target(connected, board_device, usable_core)
    assert target.refusals
    target.require_fit()  # it only has to cool
    waits: list[float] = []
    with pytest.raises(NothingMeasuredError, match="cpu-thermal"):
        target.wait_until_ready(waits.append)
    assert sum(waits) >= 0.05


def test_a_terminated_measurement_ends_its_runner_and_removes_its_folder(
    measure: Measure, make_model: Make, board: FakeSsh
) -> None:
    def terminate_this_process() -> None:
        deadline = time.monotonic() + 60
        while "./runner plan.txt" not in board.commands and time.monotonic() < deadline:
            time.sleep(0.1)
        if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate_this_process).start()
    with pytest.raises(SystemExit) as ended:
        measure(make_model(behaviour="hangs"))
    assert ended.value.code == 128 + signal.SIGTERM
    deadline = time.monotonic() + 20  # the board's shell ends the runner after its client has gone
    while (left := _running_below(board.base)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not left


def _running_below(folder: Path) -> list[str]:
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        with contextlib.suppress(OSError):
            found += [link.parent.name] if str(folder) in str(link.readlink()) else []
    return found


@pytest.fixture
def server(tmp_path: Path, monkeypatch: Patch) -> Iterator[str]:
    """A real ssh server on the loopback address; yields its name in the client's configuration."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    client, keygen = shutil.which("ssh"), shutil.which("ssh-keygen")
    if program is None or client is None or keygen is None:
        pytest.skip("no ssh server here (Debian: apt install openssh-server)")
    folder = tmp_path / "sshd"
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copyfile(folder / "user.pub", folder / "authorized")
    Path("/run/sshd").mkdir(exist_ok=True)  # where the server separates its privileges
    port = "42022"
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile {folder}/pid\n"
    )
    (folder / "config").write_text(
        f"Host loopback\n HostName 127.0.0.1\n Port {port}\n User {getpass.getuser()}\n IdentityFile {folder}/user\n"
        f" UserKnownHostsFile {folder}/known\n StrictHostKeyChecking accept-new\n"
        f" ControlMaster auto\n ControlPath /tmp/suite-test-{os.getpid()}\n ControlPersist 20\n"
    )
    wrapper = tmp_path / "bin"
    wrapper.mkdir()
    (wrapper / "ssh").write_text(f'#!/bin/sh\nexec {client} -F {folder}/config "$@"\n')
    (wrapper / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(wrapper), prepend=":")
    with subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        if b"listening" not in running.stderr.readline():
            running.kill()
            pytest.skip("the ssh server does not start here")
        yield "loopback"
        running.kill()


def test_a_run_over_a_real_ssh_connection_is_valid_and_leaves_nothing(
    server: str, board_device: Board, engine: Engine, compiled: Path, make_model: Make, tmp_path: Path, usable_core: int
) -> None:
    base = tmp_path / "board"
    base.mkdir()
    target = Target(Ssh(server, str(base)), board_device, usable_core)
    report = measure_remote(target, [make_model()], patient(board_device.protocol()), engine, compiled)
    assert broken(report) == set()
    assert report.device["device"] == "stand-in"  # the same kernel as ours
    assert list(base.iterdir()) == []

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from suite.export.artifact import GraphArtifact
from suite.latency.device import Board, Phone, Protocol, load_device
from suite.latency.remote import session
from suite.latency.remote.plan import Engine
from suite.latency.spans import TimedModel

Patch = pytest.MonkeyPatch

HERE = Path(__file__).parent
TRANSCRIPTS = HERE / "transcripts"
Answer = dict[str, Any]
CLIENT = {"devices": "10_devices_one", "push": "30_push_ok"}


def patient(protocol: Protocol, samples: int = 8) -> Protocol:
    """A short protocol whose verdicts do not depend on what else this computer does."""
    lenient = msgspec.structs.replace(
        protocol.rules, max_wall_over_cpu=1e6, max_disturbed_share=1.0, max_anchor_drift=1e6, min_repeat_ratio=0.2
    )
    return msgspec.structs.replace(
        protocol, warm_up_groups=3, min_samples=samples, min_duration_s=0.01, max_duration_s=30.0, rules=lenient
    )


Remote = TypeVar("Remote", Board, Phone)


def quick_blocks(device: Remote, count: int = 1) -> Remote:
    """The device file with short waits, and blocks whose calibration loop may take as long as it likes."""
    guards = msgspec.structs.replace(
        device.guards, blocks=count, max_calibration_ratio=1e6, max_cool_down_s=0.05, check_every_s=0.02
    )
    return msgspec.structs.replace(device, guards=guards)


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tests' own runner, built from the sources that the real runners share."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here (g++ or clang++)")
    program = tmp_path_factory.mktemp("runner") / "convolution_runner"
    sources = Path(session.__file__).with_name("runners")
    words = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{sources}"]
    subprocess.run([compiler, *words, str(HERE / "convolution_runner.cpp"), "-o", str(program)], check=True)
    return program


@pytest.fixture
def engine(monkeypatch: Patch) -> Engine:
    """The tests' engine; its files are a graph, its weights, and the rule it is to break."""

    def files(runtime: str, graph: Path) -> tuple[Path, ...]:
        return graph, graph.with_suffix(".weights"), graph.with_suffix(".behaviour")

    monkeypatch.setattr(session, "prepare_graph", files)
    return Engine("convolution", "onnxruntime_cpu", {"half": "off"})


@pytest.fixture
def make_model(make_graph: Callable[..., GraphArtifact]) -> Callable[..., TimedModel]:
    """Writes a graph with what the tests' engine takes: its weights, and the rule it is to break."""

    def make(name: str = "model_a", behaviour: str = "honest", spoiled: float = 0.0, channels: int = 8) -> TimedModel:
        artifact = make_graph(name, channels)
        stored = onnx.load(str(artifact.path)).graph.initializer[0]
        weights = numpy_helper.to_array(stored).astype("<f4")
        (weights + np.float32(spoiled)).tofile(artifact.path.with_suffix(".weights"))
        artifact.path.with_suffix(".behaviour").write_text(behaviour)
        return TimedModel(name, {"whole": artifact})

    return make


@pytest.fixture
def usable_core() -> int:
    return max(os.sched_getaffinity(0))


# Runs the command on this computer; says what the file "says" holds instead, if there is one.
FAKE_SSH = """#!/bin/sh
echo "$*" >> {folder}/log
if [ -f {folder}/says ]; then cat {folder}/says >&2; exit 255; fi
while [ "$1" != -- ]; do shift; done
exec sh -c "$2"
"""


class FakeSsh:
    """A board that is this computer; `commands` is all that ssh was asked for so far."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, folder / "board"
        self.base.mkdir()

    def says(self, text: str) -> None:
        """From now on ssh itself fails with these words."""
        (self.folder / "says").write_text(text, encoding="utf-8")

    @property
    def commands(self) -> str:
        log = self.folder / "log"
        return log.read_text(encoding="utf-8") if log.exists() else ""


@pytest.fixture(autouse=True)
def own_runs(tmp_path: Path, monkeypatch: Patch) -> Path:
    """Notes and records of every test lie in a repository of its own."""
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "repository"))
    return tmp_path / "repository"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: Patch) -> FakeSsh:
    """Puts a fake ``ssh`` first on the path."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    (folder / "ssh").write_text(FAKE_SSH.format(folder=folder), encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return FakeSsh(folder)


@pytest.fixture
def board_device() -> Board:
    device = load_device("board")
    assert isinstance(device, Board)
    return quick_blocks(device)


@pytest.fixture
def phone_device() -> Phone:
    device = load_device("snapdragon_778g")
    assert isinstance(device, Phone)
    return quick_blocks(device)


def transcript(path: Path) -> Answer:
    """Reads a transcript: return code, standard output, standard error."""
    head, _, rest = path.read_text(encoding="utf-8").partition("# stdout:\n")
    stdout, _, stderr = rest.partition("# stderr:\n")
    return {"rc": int(head.rpartition("# rc: ")[2]), "stdout": stdout, "stderr": stderr}


def said(text: str, rc: int = 0, stderr: str = "") -> Answer:
    return {"rc": rc, "stdout": text, "stderr": stderr}


def told(name: str, rc: int = 0) -> Answer:
    """What a phone says to one command, from the device transcripts."""
    text = (TRANSCRIPTS / "device" / f"{name}.txt").read_text(encoding="utf-8")
    return said(text if text.endswith("\n") else text + "\n", rc)


@pytest.fixture(params=["adb-29", "adb-36"])
def both_clients(request: pytest.FixtureRequest) -> str:
    """Asked for by tests of what the client says; what the phone says does not depend on it."""
    return str(request.param)


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Callable[[str], Answer]:
    """Transcripts of one version of the client, by name: each in turn with `both_clients`, otherwise the newer."""
    version = request.getfixturevalue("both_clients") if "both_clients" in request.fixturenames else "adb-36"
    return lambda name: transcript(TRANSCRIPTS / version / f"{name}.txt")


class FakePhone:
    """A healthy phone unless told otherwise; `calls` is every call of adb so far.

    With `lend_hands` it also runs what it is told, in a folder of this computer: pinning, folders and processes are
    real then; what the phone says of itself is not.
    """

    def __init__(self, folder: Path, client: Callable[[str], Answer]) -> None:
        self.folder, self.root = folder, folder / "phone"
        self.shell: dict[str, Answer] = {
            "taskset ": told("status_pinned_cpu7"),
            "getprop": told("getprop_sm7325_a52s"),
            "/online": told("cpu_lists_ok"),
            "cpufreq": told("cpufreq_sm7325"),
            "/proc/self/status": said("Cpus_allowed:\tff\nCpus_allowed_list:\t0-7\n"),
            "thermal_zone": told("thermal_zones_cool"),
            "thermalservice": told("thermalservice_status0"),
        }
        self._write_shell()
        self.tells(**{name: client(file) for name, file in CLIENT.items()})

    def _write_shell(self) -> None:
        shutil.rmtree(self.folder / "shell", ignore_errors=True)
        (self.folder / "shell").mkdir()
        for number, (words, answer) in enumerate(self.shell.items()):
            (self.folder / "shell" / f"{number:02}.words").write_text(words + "\n", encoding="utf-8")
            self._put(self.folder / "shell" / f"{number:02}", answer)

    def _put(self, stem: Path, answer: Answer) -> None:
        for suffix, key in ((".out", "stdout"), (".err", "stderr"), (".rc", "rc")):
            text = f"{answer[key]}\n" if key == "rc" else answer[key]
            stem.with_name(stem.name + suffix).write_text(text, encoding="utf-8")

    def tells(self, **answers: Answer) -> None:
        """Replaces what the client says by the name of its command; see fake_adb.sh."""
        for name, answer in answers.items():
            self._put(self.folder / name, answer)

    def answers(self, words: str, answer: Answer) -> None:
        """Replaces, or adds in front, the phone's answer to commands with these words."""
        self.shell = {**self.shell, words: answer} if words in self.shell else {words: answer, **self.shell}
        self._write_shell()

    def lend_hands(self) -> None:
        self.root.mkdir()
        for words in ("taskset ", "/proc/self/status"):
            del self.shell[words]
        self._write_shell()
        (self.folder / "hands").touch()

    def leftovers(self) -> list[Path]:
        return list(self.root.iterdir())

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "log"
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: Patch, client: Callable[[str], Answer]) -> FakePhone:
    """Puts a fake ``adb`` first on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "adb"
    shutil.copyfile(HERE / "fake_adb.sh", program)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    folder = tmp_path / "adb"
    folder.mkdir()
    monkeypatch.setenv("FAKE_ADB", str(folder))
    return FakePhone(folder, client)


@pytest.fixture
def hands(phone: FakePhone, monkeypatch: Patch) -> FakePhone:
    phone.lend_hands()
    monkeypatch.setattr("suite.latency.remote.transport.Adb.base_folder", str(phone.root))
    return phone

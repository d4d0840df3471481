from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TRANSCRIPTS = HERE / "transcripts"
Answer = dict[str, Any]


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
    """A healthy phone unless told otherwise; `calls` is every call of adb so far."""

    def __init__(self, folder: Path, client: Callable[[str], Answer]) -> None:
        self.folder, self.client = folder, client
        battery = (
            told("battery_low")["stdout"]
            .replace("level: 14", "level: 80")
            .replace("USB powered: true", "USB powered: false")
        )
        self.shell: dict[str, Answer] = {
            "taskset ": told("status_pinned_cpu7"),
            "getprop": told("getprop_sm7325_a52s"),
            "/online": told("cpu_lists_ok"),
            "cpufreq": told("cpufreq_sm7325"),
            "/proc/self/status": said("Cpus_allowed:\tff\nCpus_allowed_list:\t0-7\n"),
            "thermal_zone": told("thermal_zones_cool"),
            "thermalservice": told("thermalservice_status0"),
            "battery": said(battery),
            "power": told("power_awake"),
            "df -k": told("df_data_ok"),
            "rm -rf": said(""),
        }
        self.config: dict[str, Any] = {
            "log": str(folder / "log.jsonl"),
            "devices": client("10_devices_one"),
            "features": client("13_features"),
            "push": client("30_push_ok"),
            "separates": True,
        }
        self.write()

    def write(self) -> None:
        config = {**self.config, "shell": list(self.shell.items())}
        (self.folder / "fake.json").write_text(json.dumps(config), encoding="utf-8")

    def tells(self, **changes: Answer) -> None:
        """Replaces configuration by name."""
        self.config.update(changes)
        self.write()

    def answers(self, words: str, answer: Answer) -> None:
        """Replaces, or adds in front, the phone's answer to commands with these words."""
        self.shell = {**self.shell, words: answer} if words in self.shell else {words: answer, **self.shell}
        self.write()

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Callable[[str], Answer]) -> FakePhone:
    """Puts a fake ``adb`` first on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "adb"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {HERE / "fake_adb.py"} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.setenv("FAKE_ADB", str(tmp_path / "fake.json"))
    return FakePhone(tmp_path, client)

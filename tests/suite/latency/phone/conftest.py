from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TRANSCRIPTS = HERE / "transcripts"
Answer = dict[str, Any]
CLIENT = {"devices": "10_devices_one", "features": "13_features", "push": "30_push_ok"}


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
        self.said = {name: client(file) for name, file in CLIENT.items()}
        self.marks: dict[str, str | None] = {"merges": None, "hands": None, "lost_at": None}
        self.write()

    def write(self) -> None:
        shutil.rmtree(self.folder / "shell", ignore_errors=True)
        (self.folder / "shell").mkdir()
        for name, answer in self.said.items():
            self._put(self.folder / name, answer)
        for number, (words, answer) in enumerate(self.shell.items()):
            (self.folder / "shell" / f"{number:02}.words").write_text(words + "\n", encoding="utf-8")
            self._put(self.folder / "shell" / f"{number:02}", answer)
        for mark, text in self.marks.items():
            if text is None:
                (self.folder / mark).unlink(missing_ok=True)
            else:
                (self.folder / mark).write_text(text + "\n", encoding="utf-8")

    def _put(self, stem: Path, answer: Answer) -> None:
        for suffix, key in ((".out", "stdout"), (".err", "stderr"), (".rc", "rc")):
            text = f"{answer[key]}\n" if key == "rc" else answer[key]
            stem.with_name(stem.name + suffix).write_text(text, encoding="utf-8")

    def tells(self, **answers: Answer) -> None:
        """Replaces what the client says by the name of its command; see fake_adb.sh."""
        self.said |= answers
        self.write()

    def marked(self, **marks: str | None) -> None:
        """Sets or clears a property of the phone; see fake_adb.sh."""
        self.marks |= marks
        self.write()

    def answers(self, words: str, answer: Answer) -> None:
        """Replaces, or adds in front, the phone's answer to commands with these words."""
        self.shell = {**self.shell, words: answer} if words in self.shell else {words: answer, **self.shell}
        self.write()

    @property
    def calls(self) -> list[list[str]]:
        log = self.folder / "log"
        text = log.read_text(encoding="utf-8") if log.exists() else ""
        return [call.split("\x1f")[:-1] for call in text.split("\x1e")[:-1]]


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Callable[[str], Answer]) -> FakePhone:
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

"""``latency phone --models``: a run on a phone that is this computer behind a fake adb, and every way it can fail."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.cli import main
from suite.errors import NOTHING_MEASURED, USAGE, InputError, NothingMeasuredError, SuiteError
from suite.latency.device import Device, load_device
from suite.latency.phone.adb import Adb
from suite.latency.phone.target import phone_target
from suite.latency.remote.engine import Engine
from suite.latency.remote.folder import PREFIX, work_folder
from suite.latency.remote.identity import who_answers
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.report import RemoteReport
from suite.latency.remote.runner import Runner
from suite.latency.timed_model import TimedModel
from tests.suite.latency.phone.conftest import Answer, FakePhone, said, told, transcript
from tests.suite.latency.remote.conftest import compiled, engine, make_model, patient, quick_blocks, usable_core

__all__ = ["compiled", "engine", "make_model", "usable_core"]
Client = Callable[[str], Answer]
Make = Callable[..., TimedModel]
SETTINGS = """#!/bin/sh
f={folder}/$2-$3
case $1 in
  get) if [ -f $f ]; then cat $f; else echo null; fi;;
  put) echo $4 > $f;;
  delete) rm -f $f;;
esac
"""


class Hands:
    """A fake phone that also runs what it is told, in a folder of this computer."""

    def __init__(self, phone: FakePhone, folder: Path) -> None:
        self.phone, self.root, self.settings = phone, folder / "phone", folder / "settings"
        for made in (self.root, self.settings):
            made.mkdir()
        (self.settings / "system-screen_off_timeout").write_text("30000\n")
        program = folder / "bin" / "settings"
        program.write_text(SETTINGS.format(folder=self.settings))
        program.chmod(0o755)
        # Pinning, folders and processes are real; what the phone says of itself is not.
        for words in ("taskset ", "/proc/self/status", "rm -rf"):
            del phone.shell[words]
        phone.marked(hands="")

    def kept(self) -> dict[str, str]:
        return {path.name: path.read_text().strip() for path in self.settings.iterdir()}

    def leftovers(self) -> list[Path]:
        return list(self.root.iterdir())


@pytest.fixture
def hands(phone: FakePhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hands:
    fake = Hands(phone, tmp_path)
    monkeypatch.setattr(Adb, "base_folder", str(fake.root))
    return fake


@pytest.fixture
def phone_device() -> Device:
    return quick_blocks(load_device("snapdragon_778g"))


@pytest.fixture
def measure(
    hands: Hands, phone_device: Device, engine: Engine, compiled: Path, usable_core: int
) -> Callable[..., RemoteReport]:
    def run(*models: TimedModel, runner: Path = compiled, blocks: int = 1) -> RemoteReport:
        device = quick_blocks(phone_device, blocks)
        target, notes = phone_target(Adb(), device, usable_core)
        return measure_remote(target, models, patient(device.protocol()), engine, Runner(runner), notes=notes)

    return run


@pytest.mark.usefixtures("both_clients")
def test_a_run_leaves_the_phone_as_it_was_and_does_not_call_this_computer_a_phone(
    measure: Callable[..., RemoteReport], hands: Hands, make_model: Make
) -> None:
    report = measure(make_model("model_a"), make_model("model_b", channels=24), blocks=2)
    assert {problem.rule for result in report.results for problem in result.verdict.problems} == set()
    assert report.results[1].ratio_cpu.value > 1.5
    assert report.answered.by == "this computer"
    assert report.device_fields()["device"] == "stand-in"
    assert "snapdragon_778g" not in str(report.device_fields())
    assert hands.leftovers() == []
    assert hands.kept() == {"system-screen_off_timeout": "30000"}
    asked = [call[-1] for call in hands.phone.calls if "settings put" in call[-1]]
    assert any("settings put global stay_on_while_plugged_in 15" in command for command in asked)


def test_a_recording_an_emulator_and_a_phone_are_told_apart(phone: FakePhone, hands: Hands) -> None:
    assert who_answers(Adb()).by == "this computer"
    phone.answers("boot_id", said("01234567-89ab-cdef-0123-456789abcdef\n"))
    assert who_answers(Adb()).by == "emulator"  # no build fingerprint
    properties = told("getprop_sm7325_a52s")["stdout"] + "[ro.build.fingerprint]: [samsung/a52sxqxx/a52sxq:14/UP1A]\n"
    phone.answers("getprop", said(properties))
    real = who_answers(Adb())
    assert (real.by, real.real, real.build) == ("phone", True, "samsung/a52sxqxx/a52sxq:14/UP1A")
    assert real.fields("snapdragon_778g")["device"] == "snapdragon_778g"
    phone.answers("getprop", said(properties + "[ro.boot.qemu]: [1]\n"))
    assert who_answers(Adb()).by == "emulator"
    phone.answers("sha256sum", said(f"{'0' * 64}  -\n"))
    recorded = who_answers(Adb())
    assert (recorded.by, recorded.real) == ("a recording", False)
    assert recorded.fields("snapdragon_778g")["device"] == "stand-in"


SPOILED: dict[str, tuple[str, Answer, str]] = {
    "too warm for good": ("thermalservice", told("thermalservice_status2_skin"), "thermal status 2"),
    "screen went off": ("power", told("power_asleep"), "its screen is off"),
    "capped": ("cpufreq", said("/sys/devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq:2400000\n"
                               "/sys/devices/system/cpu/cpu{core}/cpufreq/scaling_max_freq:1324800\n"), "is capped at"),
    "battery ran low": ("battery", told("battery_low"), "battery at 14 %"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "answer", "message"), SPOILED.values(), ids=SPOILED.keys())
def test_a_phone_that_changes_between_two_blocks_voids_the_run(
    measure: Callable[..., RemoteReport],
    hands: Hands,
    make_model: Make,
    monkeypatch: pytest.MonkeyPatch,
    usable_core: int,
    words: str,
    answer: Answer,
    message: str,
) -> None:
    from suite.latency.remote.session import Session

    whole = Session.run_block

    def and_then(session: Session, *arguments: Any) -> Any:
        done = whole(session, *arguments)
        hands.phone.answers(words, said(answer["stdout"].replace("{core}", str(usable_core))))
        return done

    monkeypatch.setattr(Session, "run_block", and_then)
    with pytest.raises(NothingMeasuredError, match=message) as caught:
        measure(make_model(), blocks=2)
    assert "; " in str(caught.value)  # a remedy
    assert hands.leftovers() == []
    assert hands.kept() == {"system-screen_off_timeout": "30000"}


def test_a_phone_that_says_it_throttled_makes_the_run_invalid(
    measure: Callable[..., RemoteReport], hands: Hands, make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.latency.phone.target import PhoneTarget

    asked = PhoneTarget.slowed_down

    def warm(target: PhoneTarget) -> Any:
        hands.phone.answers("thermalservice", told("thermalservice_status3_cpu"))
        return asked(target)

    monkeypatch.setattr(PhoneTarget, "slowed_down", warm)
    report = measure(make_model())
    assert [problem.rule for problem in report.results[0].verdict.problems] == ["throttled"]
    assert not report.valid


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize("place", ["plan.txt > answer.jsonl", "./runner  > answer.jsonl", "input-0-0.f32"])
def test_a_pulled_cable_voids_the_run_and_the_next_one_cleans_up(
    measure: Callable[..., RemoteReport],
    hands: Hands,
    make_model: Make,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    copying = place.endswith("f32")
    hands.phone.tells(lost=client("38_push_drop" if copying else "24_shell_drop"), gone=client("61_shell_after_unplug"))
    hands.phone.marked(lost_at=place)
    with pytest.raises(SuiteError, match=r"dropped off|lost in mid-command") as caught:
        measure(make_model())
    assert "\n" not in str(caught.value)
    assert "could not clean up" in capsys.readouterr().err
    assert len(hands.leftovers()) == 1
    hands.phone.marked(lost_at=None)
    (hands.phone.folder / "unplugged").unlink()
    with work_folder(Adb()) as folder:
        assert PREFIX in folder
        assert hands.kept() == {"system-screen_off_timeout": "30000"}  # put back by the next run
    assert hands.leftovers() == []


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("name", "message"), [("34_push_nospc", "/data is full"), ("35_push_rofs", "cannot be written")]
)
def test_a_copy_that_fails_ends_the_run_and_leaves_nothing(
    measure: Callable[..., RemoteReport], hands: Hands, make_model: Make, client: Client, name: str, message: str
) -> None:
    hands.phone.tells(push=client(name))
    with pytest.raises(InputError, match=message):
        measure(make_model())
    assert hands.leftovers() == []
    assert hands.kept() == {"system-screen_off_timeout": "30000"}


LINKING = {
    "link_missing_lib": "needs android.hardware.automotive.can@1.0.so, which is not there; add it with --library",
    "link_missing_libcxx": r"needs libc\+\+_shared.so, which is not there; link it statically",
    "link_missing_symbol": "lacks _ZNSt6__ndk14coutE, which the runner needs; build it for an older ANDROID_PLATFORM",
    "glibc_binary": "loader is not on the device; build it with the NDK",
    "not_executable": "does not let programs run; use another folder .noexec.",
    "taskset_einval": "it may be parked or switched off",
}


@pytest.mark.parametrize(("name", "message"), LINKING.items(), ids=LINKING.keys())
@pytest.mark.parametrize("separates", [True, False], ids=["shell_v2", "merged"])
def test_a_runner_that_the_phone_cannot_start_is_one_line(
    measure: Callable[..., RemoteReport],
    hands: Hands,
    make_model: Make,
    shared_data: Path,
    name: str,
    message: str,
    separates: bool,
) -> None:
    hands.phone.marked(merges=None if separates else "")
    hands.phone.answers("./runner ", transcript(shared_data / "adb_transcripts" / "errors" / f"{name}.txt"))
    with pytest.raises(NothingMeasuredError, match=message) as caught:
        measure(make_model())
    assert "\n" not in str(caught.value)
    assert hands.leftovers() == []


def script(folder: Path, text: str) -> Path:
    path = folder / "script_runner"
    path.write_text(text)
    return path


PROGRAMS = {
    "loader absent": ("#!/system/bin/no_such_loader\n", NothingMeasuredError, "loader (/system/bin/no_such_loader)"),
    "another program": ("#!/bin/sh\necho hello\n", NothingMeasuredError, "not a runner of this suite"),
    "killed": ("#!/bin/sh\nkill -KILL $$\n", NothingMeasuredError, "killed (signal 9), most likely for want of memory"),
    "crashed": ("#!/bin/sh\nkill -SEGV $$\n", NothingMeasuredError, "stopped by signal 11: it crashed"),
    "too new": ("#!/bin/sh\nkill -ILL $$\n", NothingMeasuredError, "an instruction that this core does not have"),
    "not a program": ("hello\n", InputError, "not a 64-bit program"),
}


@pytest.mark.parametrize(("text", "error", "message"), PROGRAMS.values(), ids=PROGRAMS.keys())
def test_a_program_that_is_no_runner_is_one_line(
    measure: Callable[..., RemoteReport],
    hands: Hands,
    make_model: Make,
    tmp_path: Path,
    text: str,
    error: type[SuiteError],
    message: str,
) -> None:
    with pytest.raises(error) as caught:
        measure(make_model(), runner=script(tmp_path, text))
    assert message in str(caught.value)
    assert hands.leftovers() == []


def test_a_runner_for_another_processor_or_cut_off_is_refused_before_it_is_pushed(
    measure: Callable[..., RemoteReport], hands: Hands, make_model: Make, compiled: Path, tmp_path: Path
) -> None:
    content = bytearray(compiled.read_bytes())
    content[18:20] = (183 if content[18] == 62 else 62).to_bytes(2, "little")
    other = tmp_path / "other_runner"
    other.write_bytes(content)
    with pytest.raises(InputError, match=r"built for .*, the phone is .*; build it for that"):
        measure(make_model(), runner=other)
    other.write_bytes(compiled.read_bytes()[:70])
    with pytest.raises(InputError, match="cut off; build it again"):
        measure(make_model(), runner=other)
    assert not any(call[2:3] == ["push"] for call in hands.phone.calls)
    assert hands.leftovers() == []


def test_an_interruption_cleans_up(
    measure: Callable[..., RemoteReport], hands: Hands, make_model: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("suite.latency.remote.session.Session.run_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(make_model())
    assert hands.leftovers() == []
    assert hands.kept() == {"system-screen_off_timeout": "30000"}


def test_two_measurements_do_not_meet_on_one_phone(hands: Hands, compiled: Path) -> None:
    import subprocess

    folder = hands.root / f"{PREFIX}.abcdef"
    folder.mkdir()
    other = subprocess.Popen(["sleep", "60"], cwd=folder)
    try:
        (folder / "runner.pid").write_text(f"{other.pid}\n")
        with pytest.raises(InputError, match="another measurement is running"), work_folder(Adb()):
            pass
        assert folder.exists()
    finally:
        other.kill()
        other.wait()
    with work_folder(Adb()):
        assert not folder.exists()
    assert hands.leftovers() == []


MODEL = "mobileinst_topformer_tiny_shapes"


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("devices", "words", "code", "message"),
    [
        ("01_devices_none", [], USAGE, "no phone is connected"),
        ("41_devices_two_one_unauth", [], USAGE, "several phones are connected"),
        ("41_devices_two_one_unauth", ["--serial", "SERIAL2"], USAGE, "has not allowed this computer"),
        ("60_devices_after_unplug", ["--serial", "SERIAL"], USAGE, "does not answer"),
        (
            "10_devices_one",
            ["--engine", "abacus"],
            USAGE,
            "abacus: no such engine; known engines: ncnn, ncnn_fp16",
        ),
        ("10_devices_one", ["--core", "9"], NOTHING_MEASURED, "core 9 is switched off"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_no_record(
    phone: FakePhone,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    devices: str,
    words: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "repository"))
    phone.tells(devices=client(devices))
    runner = script(tmp_path, "#!/bin/sh\n")
    assert main(["latency", "phone", "--models", MODEL, "--runner", str(runner), "--record", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert message in err
    assert not (tmp_path / "repository").exists()


def test_a_missing_runner_says_where_to_build_it(phone: FakePhone, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(phone.folder / "absent", ignore_errors=True)
    assert main(["latency", "phone", "--models", MODEL, "--engine", "onnxruntime"]) == USAGE
    assert "docs/phone.md" in capsys.readouterr().err

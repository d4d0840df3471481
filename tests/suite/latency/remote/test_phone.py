"""``latency device`` on a phone, against transcripts of real adb clients, both versions, every state of a phone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.cli import main
from suite.errors import NOTHING_MEASURED, PASS, USAGE, InputError, NothingMeasuredError, SuiteError
from suite.latency.device import Phone
from suite.latency.remote.measure import measure_remote
from suite.latency.remote.plan import Engine
from suite.latency.remote.session import Session
from suite.latency.remote.target import Target, device_answers
from suite.latency.remote.transport import Adb
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel
from tests.suite.latency.remote.conftest import Answer, FakePhone, patient, quick_blocks, said, told, transcript

Measure = Callable[..., LatencyReport]
Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]
Client = Callable[[str], Answer]
Make = Callable[..., TimedModel]
MODEL = "mobileinst_topformer_tiny_shapes"


def run(capsys: Capsys, *words: str) -> tuple[int, str, str]:
    code = main(["latency", "device", *words])
    out, err = capsys.readouterr()
    return code, out, err


def refusals(capsys: Capsys) -> list[str]:
    """Look at a phone that is not ready; returns what is refused."""
    code, out, err = run(capsys, "--json")
    assert code == NOTHING_MEASURED
    assert err.count("\n") == 1
    report = json.loads(out)
    assert report["ready"] is False
    return [finding["what"] for finding in report["findings"] if finding["refuses"] and finding["remedy"]]


@pytest.mark.usefixtures("both_clients")
def test_a_healthy_phone_is_ready_and_only_looked_at(phone: FakePhone, capsys: Capsys) -> None:
    code, out, err = run(capsys, "--json")
    assert (code, err) == (PASS, "")
    report = json.loads(out)
    assert report["ready"] is True
    assert report["core"] == 7  # the only one with the highest cpuinfo_max_freq
    assert report["state"]["soc"] == ["475", "SM7325", "yupik"]
    assert report["state"]["zones_c"]["cpu-1-6"] > 0
    assert report["state"]["thermal_status"] == 0
    assert report["findings"] == []
    commands = " ".join(word for call in phone.calls for word in call)
    for changing in ("push", "setprop", "settings", "stop", "echo 1 >", "rm ", "mkdir"):
        assert changing not in commands
    assert "taskset 80 " in commands  # bare hexadecimal: toybox takes no 0x
    assert "SM-A528B" in run(capsys)[1]


STATES = {
    "cpu7 switched off": ("/online", "cpu_lists_cpu7_offline", "core 7"),
    "frequency capped": ("cpufreq", "cpufreq_sm7325_capped", "1324 of 2400 MHz"),
    "in the background": ("/proc/self/status", "status_background_cpuset", "0, 1, 2"),
    "affinity overridden": ("taskset ", "status_affinity_overridden", "0, 1, 2, 3, 4, 5, 6"),
    "hot sensors": ("thermal_zone", "thermal_zones_hot", "cpu-1-6"),
    "skin too warm": ("thermalservice", "thermalservice_status2_skin", "status 2"),
    "cpu throttled": ("thermalservice", "thermalservice_status3_cpu", "status 3"),
    "old Android": ("getprop", "getprop_soc_model_absent_android11", "chip"),
}


@pytest.mark.parametrize(("words", "name", "named"), STATES.values(), ids=STATES.keys())
def test_every_state_that_spoils_a_run_is_refused(
    phone: FakePhone, capsys: Capsys, words: str, name: str, named: str
) -> None:
    phone.answers(words, told(name))
    assert any(named in what for what in refusals(capsys))


@pytest.mark.parametrize("value", ["0-99999999999", "x", "9" * 5000], ids=["range", "word", "digits"])
@pytest.mark.parametrize(
    ("words", "name", "old"), [("/online", "cpu_lists_ok", "0-7"), ("cpufreq", "cpufreq_sm7325", "2400000")]
)
def test_what_is_no_number_of_a_device_counts_as_not_told(
    phone: FakePhone, capsys: Capsys, words: str, name: str, old: str, value: str
) -> None:
    phone.answers(words, said(told(name)["stdout"].replace(old, value)))
    assert run(capsys)[0] in (PASS, NOTHING_MEASURED, USAGE)


def test_denied_sensors_are_a_note_while_the_thermal_service_answers(phone: FakePhone, capsys: Capsys) -> None:
    phone.answers("thermal_zone", told("thermal_zones_denied", rc=1))
    assert run(capsys)[0] == PASS
    phone.answers("thermalservice", told("thermalservice_hal_not_ready"))
    assert any("thermal status" in what for what in refusals(capsys))


def test_two_fastest_cores_need_a_choice(phone: FakePhone, refused: Any) -> None:
    phone.answers("cpufreq", said(told("cpufreq_sm7325")["stdout"].replace("2208000", "2400000")))
    assert "4, 5, 6, 7" in refused(["latency", "device"], USAGE)


def test_a_core_that_nothing_can_be_pinned_to_is_refused(phone: FakePhone, capsys: Capsys, shared_data: Path) -> None:
    phone.answers("taskset ", transcript(shared_data / "adb_transcripts" / "errors" / "taskset_einval.txt"))
    assert any("core 7" in what and "Invalid argument" in what for what in refusals(capsys))


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("devices", "words", "named"),
    [
        ("01_devices_none", [], ""),
        ("10_devices_one", ["--serial", "R58NOSUCH"], "R58NOSUCH"),
        ("41_devices_two_one_unauth", [], "SERIAL2"),
        ("41_devices_two_one_unauth", ["--serial", "SERIAL2"], "unauthorized"),
        ("60_devices_after_unplug", ["--serial", "SERIAL"], "offline"),
    ],
)
def test_the_wrong_number_or_kind_of_phones_is_one_line(
    phone: FakePhone, client: Client, refused: Any, own_runs: Path, devices: str, words: list[str], named: str
) -> None:
    phone.tells(devices=client(devices))
    asked = ["latency", "device", *words, "--models", MODEL, "--runner", __file__, "--record"]
    assert named in refused(asked, USAGE)
    assert not own_runs.exists()


def test_what_the_client_says_of_its_server_is_no_phone(phone: FakePhone, client: Client) -> None:
    complaint = "adb server version (41) doesn't match this client (39); killing...\n* daemon started successfully\n"
    listing = client("10_devices_one")
    for answer in ({**listing, "stderr": complaint}, {**listing, "stdout": complaint + listing["stdout"]}):
        phone.tells(devices=answer)
        assert Adb().name == "SERIAL"


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize("name", ["24_shell_drop", "42_shell_unauth", "61_shell_after_unplug", "05_shell_badserial"])
def test_a_phone_that_goes_away_is_never_taken_for_one_that_answers(
    phone: FakePhone, client: Client, name: str
) -> None:
    connected = Adb()
    phone.tells(client=client(name))
    with pytest.raises(NothingMeasuredError) as caught:
        connected.shell("true")
    assert "\n" not in str(caught.value)


def test_bad_words_are_one_line(phone: FakePhone, refused: Any, monkeypatch: Patch, tmp_path: Path) -> None:
    for words, named in (
        (["--device", "toaster"], "toaster"),
        (["--device", "host"], "latency host"),
        (["--record"], "--models"),
        (["--models", MODEL], "docs/phone.md"),  # no runner was built
        (["--models", MODEL, "--engine", "abacus"], "ncnn_fp16"),
        (["--ssh", "user@board", "--device", "snapdragon_778g"], "--ssh"),
        (["--device", "board"], "--ssh"),
        (["--ssh", "user@bo ard"], "bo ard"),
        (["--size", "640"], "--size"),
    ):
        assert named in refused(["latency", "device", *words], USAGE)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "adb" in refused(["latency", "device"], USAGE)


def test_only_a_phone_that_answers_is_named_in_a_record(
    phone: FakePhone, hands: FakePhone, phone_device: Phone
) -> None:
    assert not device_answers(Adb())  # the kernel of this computer
    hands.answers("boot_id", said("01234567-89ab-cdef-0123-456789abcdef\n"))
    assert Target(Adb(), phone_device, 0).describe()[1]["device"] == "snapdragon_778g"
    hands.answers("sha256sum", said(f"{'0' * 64}  -\n"))  # a recording cannot know the question
    fields = Target(Adb(), phone_device, 0).describe()[1]
    assert (fields["device"], fields["real_device"]) == ("stand-in", False)


@pytest.fixture
def measure(hands: FakePhone, phone_device: Phone, engine: Engine, compiled: Path, usable_core: int) -> Measure:
    def measured(*models: TimedModel, blocks: int = 1) -> LatencyReport:
        device = quick_blocks(phone_device, blocks)
        target = Target(Adb(), device, usable_core)
        return measure_remote(target, models, patient(device.protocol()), engine, compiled)

    return measured


def test_a_run_leaves_nothing_and_does_not_call_this_computer_a_phone(
    measure: Measure, hands: FakePhone, make_model: Make
) -> None:
    report = measure(make_model("model_a"), make_model("model_b", channels=24), blocks=2)
    assert [result.broken_rules for result in report.results] == [(), ()]
    assert report.device["device"] == "stand-in"
    assert "snapdragon_778g" not in str(report.device)
    assert hands.leftovers() == []
    assert not any("settings" in call[-1] for call in hands.calls)


def test_a_phone_that_stays_too_warm_between_two_blocks_voids_the_run(
    measure: Measure, hands: FakePhone, make_model: Make, monkeypatch: Patch
) -> None:
    whole = Session.run_block

    def and_then(session: Session, *arguments: Any) -> Any:
        done = whole(session, *arguments)
        hands.answers("thermalservice", told("thermalservice_status2_skin"))
        return done

    monkeypatch.setattr(Session, "run_block", and_then)
    with pytest.raises(NothingMeasuredError):
        measure(make_model(), blocks=2)
    assert hands.leftovers() == []


def test_a_phone_that_says_it_throttled_makes_the_run_invalid(
    measure: Measure, hands: FakePhone, make_model: Make, monkeypatch: Patch
) -> None:
    asked = Target.slowed_down

    def warm(target: Target) -> Any:
        hands.answers("thermalservice", told("thermalservice_status3_cpu"))
        return asked(target)

    monkeypatch.setattr(Target, "slowed_down", warm)
    report = measure(make_model())
    assert report.results[0].broken_rules == ("throttled",)
    assert report.valid_count == 0


@pytest.mark.parametrize("place", ["plan.txt > answer.json", "./runner  > answer.json", "input-0-0.f32"])
def test_a_pulled_cable_voids_the_run_and_names_the_folder_that_is_left(
    measure: Measure, hands: FakePhone, make_model: Make, client: Client, capsys: Capsys, place: str
) -> None:
    copying = place.endswith("f32")
    hands.tells(lost=client("38_push_drop" if copying else "24_shell_drop"), gone=client("61_shell_after_unplug"))
    (hands.folder / "lost_at").write_text(place + "\n", encoding="utf-8")
    with pytest.raises(SuiteError) as caught:
        measure(make_model())
    assert "\n" not in str(caught.value)
    (folder,) = hands.leftovers()
    assert str(folder) in capsys.readouterr().err


@pytest.mark.parametrize("name", ["34_push_nospc", "35_push_rofs", "36_push_perm"])
def test_a_copy_that_fails_ends_the_run_and_leaves_nothing(
    measure: Measure, hands: FakePhone, make_model: Make, client: Client, name: str
) -> None:
    hands.tells(push=client(name))
    with pytest.raises(InputError):
        measure(make_model())
    assert hands.leftovers() == []


@pytest.mark.parametrize("name", ["link_missing_lib", "link_missing_symbol", "glibc_binary", "not_executable"])
def test_a_runner_that_the_phone_cannot_start_is_one_line_with_what_it_said(
    measure: Measure, hands: FakePhone, make_model: Make, shared_data: Path, name: str
) -> None:
    answer = transcript(shared_data / "adb_transcripts" / "errors" / f"{name}.txt")
    hands.answers("./runner ", answer)
    with pytest.raises(NothingMeasuredError) as caught:
        measure(make_model())
    assert (answer["stderr"] or answer["stdout"]).splitlines()[0].strip()[:40] in str(caught.value)
    assert hands.leftovers() == []

"""``latency phone`` against transcripts of real adb clients, both versions, every state a phone can be found in."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.cli import main
from suite.errors import NOTHING_MEASURED, PASS, USAGE, InputError, NothingMeasuredError, SuiteError
from suite.files import file_digest
from suite.latency.phone.adb import BASE_FOLDER, Adb
from suite.latency.phone.state import battery, core_list, hal_temperatures
from tests.suite.latency.phone.conftest import Answer, FakePhone, said, told, transcript

Client = Callable[[str], Answer]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["latency", "phone", *words])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Look at a phone that is not ready; returns what is said on stdout and on stderr."""
    code, out, err = run(capsys)
    assert code == NOTHING_MEASURED
    return out, err


@pytest.mark.usefixtures("both_clients")
def test_a_healthy_phone_is_ready_and_only_looked_at(phone: FakePhone, capsys: pytest.CaptureFixture[str]) -> None:
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
    for changing in ("push", "setprop", "settings", "stop", "echo 1 >", "rm "):
        assert changing not in commands
    assert "taskset 80 " in commands  # bare hexadecimal: toybox takes no 0x


def test_the_report_for_a_person_names_phone_core_and_state(
    phone: FakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys)
    assert code == PASS
    assert "samsung SM-A528B" in out
    assert "core 7 of 2.40 GHz: ready" in out


STATES = {
    "cpu7 switched off": ("/online", "cpu_lists_cpu7_offline", "core 7 is switched off"),
    "frequency capped": ("cpufreq", "cpufreq_sm7325_capped", "core 7 is capped at 1324 of 2400 MHz"),
    "in the background": ("/proc/self/status", "status_background_cpuset", "may use cores 0, 1, 2 only, not 7"),
    "affinity overridden": ("taskset ", "status_affinity_overridden", "a program was allowed on 0, 1, 2, 3, 4, 5, 6"),
    "hot sensors": ("thermal_zone", "thermal_zones_hot", "sensor cpu-1-6 of core 7 reads 9"),
    "skin too warm": ("thermalservice", "thermalservice_status2_skin", "thermal status 2"),
    "cpu throttled": ("thermalservice", "thermalservice_status3_cpu", "thermal status 3"),
    "frozen cache, hot HAL": ("thermalservice", "thermalservice_stale_cached", "sensor CPU7 of core 7 reads"),
    "battery low": ("battery", "battery_low", "battery at 14 %"),
    "battery hot": ("battery", "battery_hot", "battery at 42.1 C"),
    "battery faked": ("battery", "battery_updates_stopped", "battery values are overridden"),
    "asleep": ("power", "power_asleep", "its screen is off"),
    "dozing": ("power", "power_dozing", "its screen is off"),
    "disk full": ("df -k", "df_data_full", "12 MiB free"),
    "old Android": ("getprop", "getprop_soc_model_absent_android11", "does not tell its chip"),
}


@pytest.mark.parametrize(("words", "name", "message"), STATES.values(), ids=STATES.keys())
def test_every_state_that_spoils_a_run_is_refused_in_one_line(
    phone: FakePhone, capsys: pytest.CaptureFixture[str], words: str, name: str, message: str
) -> None:
    phone.answers(words, told(name))
    out, err = refused(capsys)
    assert err.count("\n") == 1
    assert message in err
    refusals = [line for line in out.splitlines() if line.startswith("refused: ")]
    assert any(message in line and ";" in line for line in refusals)  # with a remedy


def test_another_chip_is_refused_although_its_platform_is_the_same(
    phone: FakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    other = told("getprop_sm7325_a52s")["stdout"].replace("SM7325", "SM8350").replace("yupik", "lahaina")
    phone.answers("getprop", said(other))
    _, err = refused(capsys)
    assert "its chip says SM8350, lahaina" in err


def test_denied_sensors_are_a_note_while_the_thermal_service_answers(
    phone: FakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.answers("thermal_zone", told("thermal_zones_denied", rc=1))
    assert run(capsys)[0] == PASS  # the thermal service still reads the core
    phone.answers("thermalservice", told("thermalservice_hal_not_ready"))
    out, err = refused(capsys)
    assert "tells no temperature at all" in err
    assert "note: the sensors of core 7 cannot be read" in out


def test_a_charging_phone_may_be_measured_with_a_note(phone: FakePhone, capsys: pytest.CaptureFixture[str]) -> None:
    charged = told("battery_low")["stdout"].replace("level: 14", "level: 90")
    phone.answers("battery", said(charged))
    code, out, _ = run(capsys)
    assert code == PASS
    assert "note: it is on external power" in out


def test_a_parked_core_is_named_with_its_remedy(
    phone: FakePhone, capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    phone.answers("taskset ", transcript(shared_data / "adb_transcripts" / "errors" / "taskset_einval.txt"))
    out, err = refused(capsys)
    assert "nothing can be pinned to core 7" in err
    assert "may be parked" in out


def test_two_fastest_cores_need_a_choice(phone: FakePhone, capsys: pytest.CaptureFixture[str]) -> None:
    even = told("cpufreq_sm7325")["stdout"].replace("2208000", "2400000")
    phone.answers("cpufreq", said(even))
    code, _, err = run(capsys)
    assert code == USAGE
    assert "cores 4, 5, 6, 7 share the highest frequency" in err
    phone.answers("taskset ", said("Cpus_allowed:\t10\nCpus_allowed_list:\t4\n"))
    assert run(capsys, "--core", "4")[0] == PASS
    phone.answers("cpufreq", said(""))
    assert "name a core with --core" in run(capsys)[2]


@pytest.mark.usefixtures("both_clients")
def test_a_phone_without_return_codes_is_understood_by_its_closing_mark(
    phone: FakePhone, capsys: pytest.CaptureFixture[str]
) -> None:
    phone.tells(features=said("cmd\n"))
    phone.marked(merges="")
    assert run(capsys)[0] == PASS
    phone.answers("taskset ", said("", rc=1, stderr="taskset: bad mask '0x80'\n"))
    _, err = refused(capsys)
    assert "taskset failed (taskset: bad mask '0x80')" in err


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("devices", "words", "message"),
    [
        ("01_devices_none", [], "no phone is connected"),
        ("10_devices_one", ["--serial", "R58NOSUCH"], "no phone has the serial R58NOSUCH"),
        ("41_devices_two_one_unauth", [], "several phones are connected (SERIAL, SERIAL2)"),
        ("41_devices_two_one_unauth", ["--serial", "SERIAL2"], "has not allowed this computer"),
        ("60_devices_after_unplug", ["--serial", "SERIAL"], "does not answer"),
    ],
)
def test_the_wrong_number_or_kind_of_phones_is_one_line(
    phone: FakePhone,
    client: Client,
    capsys: pytest.CaptureFixture[str],
    devices: str,
    words: list[str],
    message: str,
) -> None:
    phone.tells(devices=client(devices))
    code, out, err = run(capsys, *words)
    assert code == USAGE
    assert out == ""
    assert err.count("\n") == 1
    assert message in err


def test_a_look_that_is_to_be_recorded_is_refused(phone: FakePhone, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--record")
    assert (code, out) == (USAGE, "")
    assert "--record: a look at the phone is not recorded; name --models" in err
    assert phone.calls == []


def test_what_the_client_says_of_its_server_is_no_phone(
    phone: FakePhone, client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    complaint = "adb server version (41) doesn't match this client (39); killing...\n* daemon started successfully\n"
    listing = client("10_devices_one")
    for answer in ({**listing, "stderr": complaint}, {**listing, "stdout": complaint + listing["stdout"]}):
        phone.tells(devices=answer)
        assert Adb().name == "SERIAL"
    phone.tells(devices={**client("01_devices_none"), "stderr": complaint})
    assert "no phone is connected" in run(capsys)[2]


@pytest.mark.parametrize(
    ("state", "message"),
    [("authorizing", "still connecting; wait"), ("recovery", "not Android; restart"), ("odd", "failed (device odd)")],
)
def test_a_phone_in_no_state_to_answer_is_told_so(
    phone: FakePhone, client: Client, capsys: pytest.CaptureFixture[str], state: str, message: str
) -> None:
    listing = client("10_devices_one")
    phone.tells(devices={**listing, "stdout": listing["stdout"].replace("SERIAL         device", f"SERIAL {state}")})
    code, _, err = run(capsys)
    assert code == USAGE
    assert message in err


def test_a_usb_device_without_permission_is_one_line(
    phone: FakePhone, capsys: pytest.CaptureFixture[str], shared_data: Path
) -> None:
    phone.tells(devices=transcript(shared_data / "adb_transcripts" / "errors" / "usb_no_permissions.txt"))
    code, _, err = run(capsys)
    assert code == USAGE
    assert "udev rule" in err


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("24_shell_drop", NothingMeasuredError, "lost in mid-command"),
        ("42_shell_unauth", InputError, "has not allowed this computer"),
        ("61_shell_after_unplug", InputError, "does not answer"),
        ("05_shell_badserial", InputError, "no phone has the serial R58NOSUCH"),
    ],
)
def test_a_phone_that_goes_away_is_told_from_one_that_answers(
    phone: FakePhone, client: Client, name: str, error: type[SuiteError], message: str
) -> None:
    connected = Adb()
    phone.tells(client=client(name))
    with pytest.raises(error) as caught:
        connected.shell("true")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("both_clients")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("34_push_nospc", "/data is full"),
        ("35_push_rofs", "cannot be written"),
        ("36_push_perm", "refuses to write there"),
        ("38_push_drop", "dropped off"),
    ],
)
def test_a_copy_that_fails_is_named_whatever_the_client_counts(
    phone: FakePhone, client: Client, tmp_path: Path, name: str, message: str
) -> None:
    phone.tells(push=client(name))
    (tmp_path / "blob.bin").write_bytes(b"blob")
    with pytest.raises(InputError, match=message):
        Adb().push(tmp_path / "blob.bin", f"{BASE_FOLDER}/blob.bin")


@pytest.mark.usefixtures("both_clients")
def test_a_copy_counts_once_its_digest_on_the_phone_is_ours(phone: FakePhone, tmp_path: Path) -> None:
    blob = tmp_path / "blob.bin"
    blob.write_bytes(b"blob")
    phone.answers("sha256sum", said(f"{file_digest(blob)}  {BASE_FOLDER}/blob.bin\n"))
    Adb().push(blob, f"{BASE_FOLDER}/blob.bin")
    phone.answers("sha256sum", said(f"{'0' * 64}  {BASE_FOLDER}/blob.bin\n"))
    with pytest.raises(InputError, match="arrived changed"):
        Adb().push(blob, f"{BASE_FOLDER}/blob.bin")


def test_commands_reach_the_phone_whole_and_with_their_own_limit(phone: FakePhone) -> None:
    Adb().shell("grep . '/proc/self/status' | head -n 1", timeout_s=7)
    command = phone.calls[-1][-1]
    assert command.startswith("( timeout -s KILL 7 sh -c ")
    assert command.endswith(' ); echo "@@RC=$?@@"')


def test_a_missing_client_and_a_wrong_device_are_one_line(
    phone: FakePhone, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert run(capsys, "--device", "toaster")[0] == USAGE
    code, _, err = run(capsys, "--device", "host")
    assert code == USAGE
    assert "reached by host, not adb" in err
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run(capsys)
    assert code == USAGE
    assert "adb: not installed" in err


def test_only_the_first_block_of_the_battery_and_the_live_block_of_the_thermal_service_count() -> None:
    assert battery(told("battery_with_eventlog")["stdout"])["level"] == "75"
    assert hal_temperatures(told("thermalservice_stale_cached")["stdout"])["CPU0"] == 63.7
    assert hal_temperatures(told("thermalservice_hal_not_ready")["stdout"]) == {}
    assert core_list("0-2,7\n") == {0, 1, 2, 7}
    assert core_list("") == frozenset()

from __future__ import annotations

import pytest

from suite.errors import NothingMeasuredError
from suite.latency.board.ssh import Ssh
from suite.latency.remote.failures import runner_failure
from suite.latency.remote.transport import Reply
from tests.suite.latency.remote.conftest import FakeSsh

ENDINGS = {
    "well": (Reply(0, "", ""), 1.0, True, None),
    "well, with a complaint": (
        Reply(0, "", "cpuinfo: failed to open /sys/devices/system/cpu/possible: Permission denied"),
        1.0,
        True,
        None,
    ),
    "not +x": (Reply(126, "", "sh: ./runner: can't execute: Permission denied"), 1.0, False, "chmod 755 it"),
    "noexec": (Reply(126, "", "sh: ./runner: can't execute: Permission denied"), 1.0, True, "noexec"),
    "other processor": (Reply(126, "", "sh: ./runner: Exec format error"), 1.0, True, "for another processor"),
    "glibc library": (
        Reply(127, "", "./runner: error while loading shared libraries: libgomp.so.1: cannot open shared object file"),
        1.0,
        True,
        "needs libgomp.so.1, which is not there; add it with --library libgomp.so.1",
    ),
    "time limit, toybox": (Reply(124, "", ""), 60.0, True, "did not end in 60 s"),
    "time limit": (Reply(137, "", "Killed"), 60.1, True, "did not end in 60 s"),
    "memory": (Reply(137, "", "Killed"), 12.0, True, "for want of memory"),
    "storage": (Reply(4, "", "the answer cannot be written: No space left on device"), 12.0, True, "ran full"),
    "forbidden call": (Reply(159, "", "Bad system call"), 1.0, True, "the system forbade one of its calls"),
    "unknown": (Reply(9, "", "surprise\nmore"), 1.0, True, "ended with code 9 (surprise); run it by hand"),
}


@pytest.mark.parametrize(("reply", "took_s", "executable", "message"), ENDINGS.values(), ids=ENDINGS.keys())
def test_every_ending_has_its_cause_and_remedy(
    reply: Reply, took_s: float, executable: bool, message: str | None
) -> None:
    found = runner_failure(reply, 60, took_s, executable, None)
    if message is None:
        assert found is None
    else:
        assert found is not None
        assert message in found
        assert "; " in found


def test_a_client_that_hangs_is_given_up(board: FakeSsh) -> None:
    connected = Ssh("user@board", str(board.base))
    with pytest.raises(NothingMeasuredError, match=r"ssh sleeping: no answer in 0 s"):
        connected.call("sleep", "30", timeout_s=0.2, what="sleeping")


def test_the_device_ends_what_takes_too_long(board: FakeSsh) -> None:
    assert Ssh("user@board", str(board.base)).shell("sleep 30", timeout_s=1).code in (124, 137)

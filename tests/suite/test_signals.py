"""Signals that end a block as Ctrl-C does, and those that a user has put off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from suite.signals import leaving_on_signals

HALF_IMPORTED = """
import time
try:
    print("here", flush=True)
    time.sleep(1)
except KeyboardInterrupt:
    print("swallowed", flush=True)
"""
INTERRUPTED_IMPORT = """
from suite.signals import answering_interrupts
try:
    with answering_interrupts():
        import time, swallowing
        print("imported", flush=True)
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_waits_for_an_import_that_would_swallow_it(tmp_path: Path):
    (tmp_path / "swallowing.py").write_text(HALF_IMPORTED)
    command = [sys.executable, "-c", INTERRUPTED_IMPORT]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"here\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.read().split() == [b"imported", b"interrupted"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_block_cleans_up_when_a_signal_ends_it(number: signal.Signals):
    before, cleaned = signal.getsignal(number), []

    def ended_by_signal() -> None:
        with leaving_on_signals():
            try:
                os.kill(os.getpid(), number)
            finally:
                cleaned.append(True)

    with pytest.raises(SystemExit) as ended:
        ended_by_signal()
    assert ended.value.code == 128 + number
    assert cleaned
    assert signal.getsignal(number) == before


def test_a_closed_terminal_ends_nothing_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with leaving_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_thread_leaves_signals_to_its_caller():
    def handlers() -> list[object]:
        with leaving_on_signals():
            return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]

    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with ThreadPoolExecutor() as pool:
        assert pool.submit(handlers).result() == before

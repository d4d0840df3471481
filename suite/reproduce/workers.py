"""The same command in several processes side by side, each line of theirs marked with its number."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO

from suite.cores import available_cores
from suite.errors import INTERRUPTED, SuiteError
from suite.progress import say


def _forward(stream: IO[str], number: int) -> None:
    for line in stream:
        say(f"({number}) {line.rstrip()}")


def run_workers(arguments: Sequence[str], workers: int) -> None:
    """Run ``python -m suite`` with these arguments in several processes and wait for all of them.

    Ctrl-C reaches them as it reaches this process; each stops in its own time and is waited for.

    Args:
        arguments: the command line of each; the processes must share the work out among themselves.
        workers: number of processes.

    Raises:
        KeyboardInterrupt: if they were interrupted.
        SuiteError: if one failed; its own message was shown, marked with its number.
    """
    command = [sys.executable, "-m", "suite", *arguments]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace") for _ in range(workers)]
    readers = []
    for number, process in enumerate(running, start=1):
        assert process.stderr is not None
        readers.append(threading.Thread(target=_forward, args=(process.stderr, number), daemon=True))
        readers[-1].start()
    interrupted = False
    while any(process.poll() is None for process in running):
        try:
            for process in running:
                process.wait()
        except KeyboardInterrupt:
            interrupted = True
    for reader in readers:
        reader.join()
    codes = [process.returncode for process in running]
    if interrupted or INTERRUPTED in codes:
        raise KeyboardInterrupt
    for number, code in enumerate(codes, start=1):
        if code:
            raise SuiteError(f"worker {number} of {workers} ended with exit code {code}; its message is above")


def fitting_workers(threads: int) -> int:
    """Return how many processes of so many threads the cores of this process hold, at least one."""
    return max(1, available_cores() // threads)

"""The errors a user can cause, and the exit codes they end in.

Every message is one line that names the file, the place in it and the remedy. The command line prints it after
``error:`` and exits with the class's code. Anything that is not a `SuiteError` is a defect of the suite: it ends in 70,
and its traceback is kept in a file.
"""

from __future__ import annotations

from collections.abc import Sequence

PASS = 0
REGRESSION = 1
USAGE = 2
NOTHING_MEASURED = 3
DATA_MISSING = 4
UNEXPECTED = 70
REQUEUE = 75
INTERRUPTED = 130


def first_few(texts: Sequence[str], shown: int = 6, joint: str = ", ") -> str:
    """Return the first texts, and how many more there are, for a message."""
    return joint.join(texts[:shown]) + (f" and {len(texts) - shown} more" if len(texts) > shown else "")


def reason_of(error: Exception) -> str:
    """Return the first words of an error as one line."""
    return " ".join(str(error).split())[:200]


class SuiteError(Exception):
    """Base of every error with a one-line message for the user.

    Args:
        message: one line that names the file, the place and the remedy; line breaks are folded into spaces.
    """

    exit_code = USAGE

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class InputError(SuiteError):
    """A bad option, path, JSON, results file, checkpoint or record (exit code 2)."""


class RegressionError(SuiteError):
    """A gate found the measured value worse than its baseline allows (exit code 1)."""

    exit_code = REGRESSION


class NothingMeasuredError(SuiteError):
    """A run ended without a valid measurement (exit code 3)."""

    exit_code = NOTHING_MEASURED


class DataError(SuiteError):
    """A dataset is missing or its digest is not the pinned one (exit code 4)."""

    exit_code = DATA_MISSING


class StoppedError(SuiteError):
    """The system asked a run to end (SIGTERM, SIGUSR1): it is saved, and the same command continues it (exit code 75).

    75 is "try again later" in sysexits.h; a batch script requeues the job on it.
    """

    exit_code = REQUEUE

"""Runs DVC, and asks it as the arbiter: does ``dvc status`` agree that the files are the pinned ones?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

from suite.datasets.pins import PINS_NAME
from suite.errors import DataError
from suite.paths import repository_root


def run_dvc(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a DVC command in the repository's root.

    Args:
        words: the command and its options.

    Returns:
        The finished process with its output; its return code is not looked at.

    Raises:
        DataError: if DVC cannot be started.
    """
    root = repository_root()
    # DVC keeps its hash memory in a machine-wide folder unless told otherwise, which fails on shared machines.
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")}
    command = [sys.executable, "-m", "dvc", *words]
    try:
        return subprocess.run(
            command, cwd=root, env=settings | os.environ, capture_output=True, text=True, timeout=3600, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"{PINS_NAME}: dvc cannot be run ({error}); install the suite with its 'run' extra") from None


def dvc_changes(paths: Sequence[str]) -> dict[str, str]:
    """Ask DVC which of some outs differ from their pins.

    ``dvc status`` ends with exit code 0 even when something changed, so its JSON is read.

    Args:
        paths: outs of ``datasets.dvc`` as written there.

    Returns:
        path -> DVC's word for it (``deleted``, ``modified``); empty if DVC agrees with every pin.

    Raises:
        DataError: if DVC cannot be run or does not answer.
    """
    run = run_dvc("status", "--json", *paths)
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        reason = (run.stderr.strip().splitlines() or ["no output"])[-1]
        raise DataError(f"{PINS_NAME}: dvc gives no status ({reason}); try 'dvc status {PINS_NAME}'") from None
    changes: dict[str, str] = {}
    for stage in answer.values():
        for change in stage:
            if isinstance(change, dict):
                changes |= change.get("changed outs", {})
    return changes

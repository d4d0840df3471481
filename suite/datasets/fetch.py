"""Brings groups of pinned datasets to this disk: generate, download, unpack, check, ask DVC."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from suite.datasets.download import DownloadOptions, download
from suite.datasets.embedded import ensure
from suite.datasets.health import require_health
from suite.datasets.official import READY
from suite.datasets.pins import PINS_NAME, Pin
from suite.datasets.state import GOOD, State, examine
from suite.datasets.unpack import unpack
from suite.errors import DataError
from suite.paths import repository_root
from suite.progress import say, track
from suite.text_table import TextColumn, text_table

_HERE = (*GOOD, "unpinned")


def fetch(pins: Sequence[Pin], mirror: str | None = None, downloading: bool = True, unpacking: bool = True) -> None:
    """Bring datasets to their places; what needs a login is described, after the others were brought.

    Args:
        pins: which ones.
        mirror: see `suite.datasets.download.DownloadOptions`.
        downloading: whether what is absent is downloaded or generated.
        unpacking: whether archives are unpacked too.

    Raises:
        DataError: if something could not be brought or is not what it should be.
    """
    for pin in pins if downloading else ():
        if pin.generator:
            ensure()
        elif pin.url:
            download(pin, DownloadOptions(mirror))
    states = {pin: examine(pin) for pin in pins}
    missing = [state.explanation for state in states.values() if state.status not in _HERE]
    for line in missing if len(missing) > 1 else ():
        say(line)
    for pin, state in states.items():
        if unpacking and pin.unpack and state.status in _HERE and unpack(pin):
            say(f"{pin.path}: unpacked into {pin.unpack}")
    for pin in pins:
        _check_ready(pin)
    if missing:
        raise DataError(missing[0] + (f" (and {len(missing) - 1} more, listed above)" if len(missing) > 1 else ""))
    confirm_with_dvc(pins)


def _check_ready(pin: Pin) -> None:
    """Do a health check of the dataset an archive belongs to, as soon as its annotations and its images are here.

    Raises:
        DataError: if they do not belong together.
    """
    if pin.unpack is None or pin.name not in READY:
        return
    kind, annotations, images = READY[pin.name]
    folder = repository_root() / pin.unpack
    if (folder / annotations).is_file() and (folder / images).is_dir():
        say(require_health(kind, folder / annotations, folder / images).text())


def check(pins: Sequence[Pin]) -> dict[str, dict[str, Any]]:
    """Read every byte again and ask DVC whether it agrees.

    Returns:
        Rows as `overview` gives them, none of them wrong.

    Raises:
        DataError: if anything is not as pinned, naming the first such file.
    """
    rows = {}
    with track("check", len(pins)) as step:
        for pin in pins:
            rows[pin.name] = _row(pin, examine(pin, again=True))
            step(pin.name)
    wrong = [row["explanation"] for row in rows.values() if row["status"] not in GOOD]
    if wrong:
        raise DataError(wrong[0] + (f" (and {len(wrong) - 1} more, see 'data status')" if len(wrong) > 1 else ""))
    confirm_with_dvc(pins)
    return rows


def overview(pins: Sequence[Pin]) -> dict[str, dict[str, Any]]:
    """Return the state of every pin; digests of unchanged files are remembered.

    Returns:
        name -> row with group, path, status, pinned and found digest, size in bytes, explanation.
    """
    return {pin.name: _row(pin, examine(pin)) for pin in pins}


def _row(pin: Pin, state: State) -> dict[str, Any]:
    size = state.size if state.size is not None else pin.size
    where = {"name": pin.name, "group": pin.group, "path": pin.path, "pinned": pin.md5}
    return where | msgspec.structs.asdict(state) | {"size": size}


def overview_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as aligned text, then one line for each one that is not as pinned."""
    columns = [TextColumn("dataset"), TextColumn("group"), TextColumn("status"), TextColumn("MB", number=True)]
    cells = [
        (
            name,
            row["group"],
            row["status"],
            "?" if row["size"] is None else f"{row['size'] / 1e6:.1f}",
            (row["pinned"] or "none published")[:16],
        )
        for name, row in rows.items()
    ]
    lines = text_table([*columns, TextColumn("pinned digest")], cells)
    notes = [row["explanation"] for row in rows.values() if row["explanation"]]
    return "\n".join([*lines, *([""] if notes else []), *notes])


def confirm_with_dvc(pins: Sequence[Pin]) -> None:
    """Ask DVC about every pinned file that is here; say so where DVC is not installed or not set up.

    Raises:
        DataError: if DVC does not agree that they are as pinned, or gives no answer.
    """
    here = [pin.path for pin in pins if pin.md5 is not None and pin.file.exists()]
    if not here:
        return
    if importlib.util.find_spec("dvc") is None or not (repository_root() / ".dvc").is_dir():
        say(f"{PINS_NAME}: digests compared here only; with DVC in a checkout, 'dvc status' compares them too")
        return
    for path, word in dvc_changes(here).items():
        raise DataError(f"{path}: its digest is right but dvc calls it {word}; run 'dvc status {path}'")


def dvc_changes(paths: Sequence[str]) -> dict[str, str]:
    """Ask DVC which of some outs differ from their pins.

    ``dvc status`` ends with exit code 0 even when something changed, so its JSON is read.

    Args:
        paths: outs of ``datasets.dvc`` as written there.

    Returns:
        path -> DVC's word for it (``deleted``, ``modified``); empty if DVC agrees with every pin.

    Raises:
        DataError: if DVC gives no answer.
    """
    root = repository_root()
    # DVC keeps its memory of digests in a machine-wide folder unless told otherwise, which fails on shared machines.
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")} | os.environ
    command = [sys.executable, "-m", "dvc", "status", "--json", *paths]
    run = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=False)
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

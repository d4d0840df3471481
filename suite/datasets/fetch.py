"""Brings groups of pinned datasets to this disk: generate, download, unpack, check, ask DVC."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

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
            from suite.datasets.download import DownloadOptions, download

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


def overview(pins: Sequence[Pin], again: bool = False) -> dict[str, dict[str, Any]]:
    """Return the state of every pin.

    Args:
        pins: which ones.
        again: whether every byte is read, and DVC asked too; else digests of unchanged files are remembered.

    Returns:
        name -> row with group, path, status, pinned and found digest, size in bytes, explanation.

    Raises:
        DataError: if DVC does not agree.
    """
    rows = {}
    with track("check", len(pins)) if again else nullcontext(lambda _: None) as step:
        for pin in pins:
            rows[pin.name] = _row(pin, examine(pin, again))
            step(pin.name)
    if again:
        confirm_with_dvc([pin for pin in pins if rows[pin.name]["status"] == "verified"])
    return rows


def _row(pin: Pin, state: State) -> dict[str, Any]:
    size = state.size if state.size is not None else pin.size
    where = {"name": pin.name, "group": pin.group, "path": pin.path, "pinned": pin.md5}
    return where | asdict(state) | {"size": size}


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
    """Let DVC compare pinned files too, where it is installed and this is a checkout; say so where it is not.

    Raises:
        DataError: if DVC does not agree that they are as pinned, or cannot tell.
    """
    here = [pin.path for pin in pins if pin.md5 is not None and pin.file.exists()]
    if not here:
        return
    root = repository_root()
    if importlib.util.find_spec("dvc") is None or not (root / ".dvc").is_dir():
        say(f"{PINS_NAME}: digests compared here only; with DVC in a checkout, 'dvc status' compares them too")
        return
    # DVC keeps its memory of digests in a machine-wide folder unless told otherwise, which fails on shared machines.
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")} | os.environ
    command = [sys.executable, "-m", "dvc", "status", "--quiet", *here]
    run = subprocess.run(command, cwd=root, env=settings, capture_output=True, text=True, check=False)
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["something differs"])[-1]
        raise DataError(
            f"{here[0]}: digests are right here but not for dvc ({reason}); run 'dvc status {' '.join(here)}'"
        )

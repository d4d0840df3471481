"""What is on the disk of everything pinned, for a person and for a program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from suite.datasets.fetch import GOOD, confirm_with_dvc
from suite.datasets.pins import Pin, State, examine, select_pins
from suite.errors import DataError
from suite.progress import track


def readable_size(size: int | None) -> str:
    """Return a number of bytes as a person writes it, ``"815.6 MB"``; ``"?"`` for None."""
    if size is None:
        return "?"
    value, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def _row(pin: Pin, state: State) -> dict[str, Any]:
    return {
        "name": pin.name,
        "group": pin.group,
        "path": pin.path,
        "status": state.status,
        "pinned": pin.md5,
        "have": state.have,
        "size": state.size if state.size is not None else pin.size,
        "explanation": state.explanation,
    }


def overview(groups: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the state of every pin of some groups; digests of unchanged files are remembered.

    Args:
        groups: as `suite.datasets.pins.select_pins` takes them.

    Returns:
        name -> row with group, path, status, pinned and found digest, size in bytes, explanation.
    """
    return {pin.name: _row(pin, examine(pin)) for pin in select_pins(groups)}


def overview_table(rows: dict[str, dict[str, Any]]) -> str:
    """Return the rows as aligned text, then one line for each one that is not as pinned."""
    head = ("dataset", "group", "status", "size", "pinned digest")
    cells = [
        (name, row["group"], row["status"], readable_size(row["size"]), row["pinned"] or "none published")
        for name, row in rows.items()
    ]
    widths = [max(len(line[k]) for line in (head, *cells)) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in (head, *cells)]
    notes = [row["explanation"] for row in rows.values() if row["explanation"]]
    return "\n".join(line.rstrip() for line in [*lines, *([""] if notes else []), *notes])


def _bytes_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def verify(groups: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Read every byte of some groups again and ask DVC whether it agrees.

    Args:
        groups: as `suite.datasets.pins.select_pins` takes them.

    Returns:
        Rows as `overview` gives them, none of them wrong.

    Raises:
        DataError: if anything is not as pinned, naming the first such file.
    """
    pins = select_pins(groups)
    rows = {}
    megabyte = 1_000_000
    with track("verify (MB)", sum(_bytes_of(pin.file) for pin in pins) // megabyte) as step:
        for pin in pins:
            pending = 0

            def count(size: int) -> None:
                nonlocal pending
                pending += size
                step(advance=pending // megabyte)
                pending %= megabyte

            rows[pin.name] = _row(pin, examine(pin, use_memory=False, on_bytes=count))
    wrong = [row["explanation"] for row in rows.values() if row["status"] not in GOOD]
    if wrong:
        more = f" (and {len(wrong) - 1} more, see 'python -m suite data status')" if len(wrong) > 1 else ""
        raise DataError(wrong[0] + more)
    confirm_with_dvc(pins)
    return rows

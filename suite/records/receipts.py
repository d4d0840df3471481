"""Receipts: what somebody else's server answered, kept byte for byte beside the record that repeats its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from suite.files import file_digest
from suite.records.schema import Artifact

RECEIPT = "receipt"
"""Name of the artifact line of a record that rests on a receipt."""


def receipt_path(records: Path, name: str) -> Path:
    """Return where the receipt of this file name is kept beside a folder of records."""
    return records / "receipts" / name


def receipt_fault(record: Path, artifacts: Sequence[Artifact]) -> str | None:
    """Return what is wrong with the receipts of a record, or None where there is nothing to complain about.

    Args:
        record: the record's file.
        artifacts: its artifact lines.
    """
    for item in artifacts:
        if item.name != RECEIPT:
            continue
        path = receipt_path(record.parent, Path(item.path).name)
        if not path.is_file():
            return f"its receipt receipts/{path.name} is gone"
        if file_digest(path) != item.sha256:
            return f"its receipt receipts/{path.name} is not the one it was written for"
    return None

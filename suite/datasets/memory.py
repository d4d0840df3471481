"""Small notes kept beside the data, so that files looked at once need not be read again (digests, health)."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from suite.errors import InputError
from suite.files import write_json
from suite.paths import data_dir


def recall(name: str) -> dict[str, Any]:
    """Return the notes kept under a file name in the data folder; {} if there are none or they cannot be read."""
    try:
        content = json.loads((data_dir() / name).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def keep(name: str, notes: dict[str, Any]) -> None:
    """Replace the notes kept under a file name in the data folder; a disk that may not be written keeps none.

    Raises:
        ValueError: if a note holds a float that JSON cannot express.
    """
    # Without notes the files are read again later, nothing worse.
    with contextlib.suppress(InputError):
        write_json(data_dir() / name, notes)

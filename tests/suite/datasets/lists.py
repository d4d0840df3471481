"""Lists of held-out videos as ``data split`` writes them, for any annotations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def write_list(path: Path, annotations: Path, ids: list[int], **changes: Any) -> None:
    """Write a list that was made from these annotations; a change of None leaves the key out."""
    content = {
        "dataset": "youtube-vis-2019",
        "split": "local-valid",
        "rule": "a rule",
        "annotations_sha256": hashlib.sha256(annotations.read_bytes()).hexdigest(),
        "videos": 9,
        "held_out": ids,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in (content | changes).items() if value is not None}))

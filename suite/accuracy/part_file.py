"""Results on their way: one JSON line per finished image or video, appended so that a killed run loses none of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from suite.files import atomic_path


class PartFile:
    """The unfinished form of a results file, ``NAME.part`` beside it.

    The first line holds the identity of the prediction; a part file of another identity is discarded. A last line that
    was cut by a kill is discarded too, so that its image is predicted again: none is lost, none is there twice.

    Args:
        results: the final results file.
        identity: digest of everything that the results depend on.
    """

    def __init__(self, results: Path, identity: str) -> None:
        self.results = results
        self.path = results.with_name(f"{results.name}.part")
        self.offsets: dict[int, int] = {}
        header = json.dumps({"identity": identity}).encode() + b"\n"
        results.parent.mkdir(parents=True, exist_ok=True)
        good = self._scan(header)
        self._stream = self.path.open("r+b" if good else "wb")
        if good:
            self._stream.truncate(good)
            self._stream.seek(good)
        else:
            self._stream.write(header)

    def _scan(self, header: bytes) -> int:
        """Index the complete lines of an existing part file; return how many of its bytes are good, 0 for none."""
        if not self.path.exists():
            return 0
        with self.path.open("rb") as stream:
            if stream.readline() != header:
                return 0
            good = stream.tell()
            for line in stream:
                try:
                    key = json.loads(line)["id"]
                except (ValueError, KeyError, TypeError):
                    break
                if not line.endswith(b"\n"):
                    break
                self.offsets[key] = good
                good += len(line)
        return good

    def __enter__(self) -> PartFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __contains__(self, key: int) -> bool:
        return key in self.offsets

    def append(self, key: int, results: list[dict[str, Any]]) -> None:
        """Add the results of one image or video; on disk before the call returns, as far as the system promises."""
        self._stream.flush()
        self.offsets[key] = self._stream.tell()
        self._stream.write(json.dumps({"id": key, "results": results}, allow_nan=False).encode() + b"\n")
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def finish(self, keys: Sequence[int]) -> None:
        """Write the results file, in the order of ``keys``, and remove the part file. Memory: one entry at a time."""
        self._stream.close()
        with atomic_path(self.results) as temporary, temporary.open("wb") as out, self.path.open("rb") as part:
            out.write(b"[")
            first = True
            for key in keys:
                part.seek(self.offsets[key])
                for result in json.loads(part.readline())["results"]:
                    out.write((b"\n" if first else b",\n") + json.dumps(result, separators=(",", ":")).encode())
                    first = False
            out.write(b"\n]\n")
        self.path.unlink()

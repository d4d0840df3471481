"""The part of a download that has arrived, with its running MD5 and what is needed to go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_CHUNK_BYTES = 1 << 20


class Partial:
    """A ``.part`` file; an earlier one is taken up and hashed.

    Args:
        path: the file, made at the first byte.

    Attributes:
        size: bytes that have arrived.
        sources: number of answers the bytes came from; if more than one, they may not fit together.
        etag: the server's name for the version of the file, or None.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._etag_path = path.with_name(path.name + ".etag")
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size, self.sources = 0, 0
        self.etag: str | None = None
        if path.exists():
            self.sources = 1
            with path.open("rb") as stream:
                while piece := stream.read(_CHUNK_BYTES):
                    self._count(piece)
            if self._etag_path.exists():
                self.etag = self._etag_path.read_text().strip() or None

    def _count(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size += len(piece)

    def md5(self) -> str:
        """Return the MD5 of what has arrived."""
        return self._digest.hexdigest()

    def note(self, etag: str | None) -> None:
        """Remember the server's name for this version of the file, which a later run sends back."""
        self.etag = etag
        self.sources += 1
        if etag:
            self._etag_path.write_text(etag)
        else:
            self._etag_path.unlink(missing_ok=True)

    @contextmanager
    def appending(self) -> Iterator[Callable[[bytes], None]]:
        """Yield a function that appends bytes."""
        with self.path.open("ab") as stream:

            def append(piece: bytes) -> None:
                stream.write(piece)
                self._count(piece)

            yield append

    def restart(self) -> None:
        """Throw away what has arrived."""
        self.discard()
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size, self.sources = 0, 0

    def forget(self) -> None:
        """Remove the note beside the file, once the file has got its name."""
        self._etag_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove everything."""
        self.path.unlink(missing_ok=True)
        self.forget()
        self.etag = None

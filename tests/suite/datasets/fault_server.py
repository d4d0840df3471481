"""A loopback HTTP server with the faults of real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath


@dataclass
class Behaviour:
    """What the server does; tests change it between requests.

    Attributes:
        files: name -> content.
        cut_at: send only so many bytes of each body, then close the connection.
        cut_by: each later cut comes after so many bytes more (or less).
        cuts: how many answers are cut; the later ones are whole.
        status: answer with this status instead of the file.
        page: send this web page instead of the file.
        page_type: the content type of that page.
        ranges: whether ranges are understood.
        offset: begin an answer to a range so many bytes earlier than asked, and say so.
        pause_s: wait so long before each body and between its pieces.
        stall: send half of the body, then nothing for a long time.
        length: whether the size is announced.
        requests: (path, Range header) of each request so far.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cut_at: int | None = None
    cut_by: int = 0
    cuts: int = 1_000
    status: int | None = None
    page: bytes | None = None
    page_type: str = "text/html; charset=utf-8"
    ranges: bool = True
    offset: int = 0
    pause_s: float = 0.0
    stall: bool = False
    length: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        how = self.behaviour
        wanted = self.headers.get("Range")
        how.requests.append((self.path, wanted))
        if how.status is not None:
            self.send_error(how.status)
            return
        if how.page is not None:
            self._headers(200, how.page_type, len(how.page))
            self.wfile.write(how.page)
            return
        content = how.files.get(PurePosixPath(self.path).name)
        if content is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and how.ranges else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        start = max(0, start - how.offset)
        body = content[start:]
        extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        self._headers(206 if start else 200, "application/zip", len(body) if how.length else None, extra)
        self._body(body)

    def _headers(self, status: int, kind: str, length: int | None, extra: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(extra or {})}.items():
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _body(self, body: bytes) -> None:
        how = self.behaviour
        if how.cut_at is not None and how.cuts > 0:
            how.cuts -= 1
            body = body[: how.cut_at]
            how.cut_at += how.cut_by
        if how.stall:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            time.sleep(3)
            return
        pieces = 4 if how.pause_s else 1
        size = max(1, -(-len(body) // pieces))
        for at in range(0, len(body), size):
            time.sleep(how.pause_s)
            self.wfile.write(body[at : at + size])


@contextmanager
def serving(behaviour: Behaviour) -> Iterator[str]:
    """Yield the address of a running server."""
    handler = type("Handler", (_Handler,), {"behaviour": behaviour})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()

"""The page in a real browser finds what Python finds."""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from reference_model import load
from suite.deploy.browser import RUNTIME_VERSION, build_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def dump_dom(url: str, profile: Path, *options: str) -> str:
    """The page as a browser without a window has it once it is loaded."""
    words = [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}", *options]
    done = subprocess.run([*words, "--dump-dom", url], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: chromium)")
@pytest.mark.skipif(shutil.which("npm") is None, reason="no npm here, which installs onnxruntime-web")
def test_a_browser_finds_the_shapes_of_the_clip(tmp_path: Path) -> None:
    install = ["npm", "install", "--silent", "--ignore-scripts", "--prefix", str(tmp_path)]
    subprocess.run([*install, f"onnxruntime-web@{RUNTIME_VERSION}"], check=True)
    out = tmp_path / "try"
    build_page(out, tmp_path / "node_modules")
    assert not re.findall(r"https?://", (out / "index.html").read_text())  # nothing comes from elsewhere
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(SimpleHTTPRequestHandler, directory=str(out)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/index.html#check"
    try:
        dom = dump_dom(url, tmp_path / "profile", "--virtual-time-budget=60000")
    finally:
        server.shutdown()
    found = re.search(r'data-check="([^"]*)"', dom)
    assert found
    seen = json.loads(html.unescape(found[1]))
    assert len(seen) == len(list(out.glob("0*.png"))) > 5
    expected = load("shapes")(out / "00000.png")
    assert [name for name, _ in seen[0]["found"]] == expected.class_names
    assert [score for _, score in seen[0]["found"]] == pytest.approx(expected.scores.tolist(), abs=0.01)
    assert {name for name, _ in seen[1]["found"]} <= set(expected.class_names)  # kernels of the first frame, reused
    assert seen[1]["found"] != seen[0]["found"]

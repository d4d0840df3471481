"""Publishing weights into a folder and to a repository, and loading them by name, against a server of this test."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from reference_model import CheckpointError, load
from reference_model.config import find_checkpoint
from suite.cli import main
from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig

NAME = "somebody/shapes"


class Hub(BaseHTTPRequestHandler):
    """As much of Hugging Face's API as creating a repository, uploading to it and downloading from it takes."""

    files: dict[str, bytes] = {}  # noqa: RUF012 (one server a test)

    def answer(self, body: bytes, code: int = 200, **headers: str) -> None:
        self.send_response(code)
        for key, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_GET(self) -> None:
        _, found, name = self.path.partition(f"/{NAME}/resolve/main/")
        if found and name in self.files:
            self.answer(self.files[name], ETag=f'"{len(self.files[name])}"', X_Repo_Commit="0" * 40)
        else:
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if "preupload" in self.path:
            asked = json.loads(body)["files"]
            answers = [{"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in asked]
            self.answer(json.dumps({"files": answers}).encode())
        elif "commit" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(json.dumps({"commitUrl": f"/{NAME}/commit/0", "commitOid": "0" * 40}).encode())
        elif "create" in self.path:
            self.answer(json.dumps({"url": f"/{NAME}", "id": NAME}).encode())
        else:
            self.answer(b"{}")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    Hub.files = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_folder_holds_weights_and_a_card_with_the_measured_ap(tmp_path: Path) -> None:
    generate(tmp_path, ShapesConfig(train_videos=1, val_videos=2))
    truth = ["--annotations", str(tmp_path / "annotations" / "instances_val.json"), "--images", str(tmp_path / "val")]
    out = tmp_path / "out"
    assert main(["publish", "--to", str(out), *truth]) == 0
    assert (out / "model.safetensors").read_bytes() == find_checkpoint("shapes").read_bytes()
    assert json.loads((out / "config.json").read_text())["num_classes"] == 6
    _, front, body = (out / "README.md").read_text().split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["license"] == "apache-2.0"
    ap = facts["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert 50 < ap < 100
    assert f"{ap:.1f}" in body
    assert "shapes train" in body  # of the card that training wrote
    assert main(["publish", "--to", str(out)]) == 0
    (out / "model.safetensors").write_bytes(b"other")
    assert main(["publish", "--to", str(out)]) == 2


@pytest.mark.parametrize("name", ["README.md", "config.json"])
def test_what_somebody_else_wrote_stays(tmp_path: Path, refused: Any, name: str) -> None:
    (tmp_path / name).write_text("mine")
    assert name in refused(["publish", "--to", tmp_path], 2)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_a_card_beside_the_weights_that_is_no_text_is_named(tmp_path: Path, refused: Any) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(find_checkpoint("shapes").read_bytes())
    weights.with_suffix(".md").write_bytes(b"caf\xe9\n")
    assert "model.md" in refused(["publish", "--checkpoint", weights, "--to", tmp_path / "out"], 2)
    assert not (tmp_path / "out").exists()


def test_a_card_gives_no_ap_of_nothing_and_says_what_stands_against_one(tmp_path: Path, refused: Any) -> None:
    generate(tmp_path, ShapesConfig(train_videos=1, val_videos=1))
    path, out = tmp_path / "annotations" / "instances_val.json", tmp_path / "out"
    document = json.loads(path.read_text())
    document["categories"][0]["name"] = "unknown"
    path.write_text(json.dumps(document))
    words = ["publish", "--to", str(out), "--annotations", str(path), "--images", str(tmp_path / "val")]
    assert main(words) == 0
    assert "unknown" in (out / "README.md").read_text()
    for item in document["annotations"]:
        item["iscrowd"] = 1
    path.write_text(json.dumps(document))
    assert main(words) == 3


STEPS = f"""
from reference_model import load
from suite.cli import main
assert main(["publish", "--to", "hf:{NAME}"]) == 0
assert "star" in load("{NAME}").class_names
assert main(["predict", "x.jpg", "--checkpoint", "hf:nobody/nothing"]) == 2
"""


def test_a_repository_is_published_and_loaded_by_name(endpoint: str, tmp_path: Path) -> None:
    """In a process of its own: huggingface_hub reads its environment when it is imported."""
    pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_TOKEN": "hf_test"}
    subprocess.run([sys.executable, "-c", STEPS], env=environment, check=True)
    assert set(Hub.files) == {"model.safetensors", "config.json", "README.md"}
    assert f'load("{NAME}")' in Hub.files["README.md"].decode()
    nobody = {**environment, "HF_ENDPOINT": "http://127.0.0.1:9"}
    words = [sys.executable, "-m", "suite", "publish", "--to", f"hf:{NAME}"]
    assert subprocess.run(words, env=nobody, stderr=subprocess.DEVNULL).returncode == 4


def test_a_name_that_is_nothing_is_refused_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError):
        load("no/such.safetensors")

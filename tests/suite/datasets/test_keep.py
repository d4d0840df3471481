from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suite.cli import main


@pytest.fixture
def root(empty_root: Path) -> Path:
    (empty_root / ".dvc").mkdir()
    (empty_root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    return empty_root


def dvc(root: Path, *words: str) -> None:
    settings = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")}
    subprocess.run([sys.executable, "-m", "dvc", *words], cwd=root, env=settings | os.environ, check=True)


def test_results_survive_through_a_remote(root, tmp_path_factory, capsys):
    predictions, samples = root / "runs" / "seed0" / "results.json", root / "runs" / "samples"
    samples.mkdir(parents=True)
    predictions.parent.mkdir()
    predictions.write_text("[]")
    (samples / "a.jsonl").write_text("1\n")
    (samples / "b.jsonl").write_text("2\n")
    assert main(["data", "keep", str(predictions), str(samples)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["runs/seed0/results.json", "runs/samples"]
    remote = tmp_path_factory.mktemp("remote")
    dvc(root, "remote", "add", "--default", "store", str(remote))
    dvc(root, "push")
    shutil.rmtree(root / "runs")
    shutil.rmtree(root / ".dvc" / "cache")
    dvc(root, "pull", "results/runs-seed0-results.json.dvc", "results/runs-samples.dvc")
    assert predictions.read_text() == "[]"
    assert {path.name: path.read_text() for path in samples.iterdir()} == {"a.jsonl": "1\n", "b.jsonl": "2\n"}
    # A new run of one of them, while the other is not here.
    shutil.rmtree(samples)
    predictions.unlink()
    predictions.write_text("[1]")
    assert main(["data", "keep", str(predictions)]) == 0
    assert sorted(path.name for path in (root / "results").iterdir() if path.suffix == ".dvc") == [
        "runs-samples.dvc",
        "runs-seed0-results.json.dvc",
    ]
    dvc(root, "push", "results/runs-seed0-results.json.dvc")


def test_another_result_of_the_same_short_name_does_not_replace_the_first(root, capsys):
    for name in ("runs/a/b.json", "runs/a-b.json"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    assert main(["data", "keep", str(root / "runs/a/b.json")]) == 0
    kept = root / "results" / "runs-a-b.json.dvc"
    before = kept.read_bytes()
    assert main(["data", "keep", str(root / "runs/a-b.json")]) == 2
    message = capsys.readouterr().err
    assert "results/runs-a-b.json.dvc already tracks runs/a/b.json" in message
    assert kept.read_bytes() == before


def test_what_cannot_be_kept(root, tmp_path_factory, capsys):
    assert main(["data", "keep", str(root / "runs" / "none.json")]) == 4
    assert "no such file" in capsys.readouterr().err
    outside = tmp_path_factory.mktemp("outside") / "a.json"
    outside.write_text("[]")
    assert main(["data", "keep", str(outside)]) == 2
    assert "outside the repository" in capsys.readouterr().err
    inside = root / "a.json"
    inside.write_text("[]")
    shutil.rmtree(root / ".dvc")
    assert main(["data", "keep", str(inside)]) == 4
    assert "results/a.json.dvc is as before" in capsys.readouterr().err
    assert not (root / "results" / "a.json.dvc").exists()

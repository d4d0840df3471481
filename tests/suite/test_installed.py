"""The suite as an installed package, away from any checkout: what it needs is in the wheel, what it writes is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of a wheel, built from a copy of the sources."""
    pytest.importorskip("setuptools", reason="needs setuptools to build a wheel")
    sources, folder = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("installed")
    for name in ("suite", "reference_model"):
        shutil.copytree(REPOSITORY / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "datasets.dvc"):
        shutil.copy(REPOSITORY / name, sources)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(sources), "."]
    subprocess.run(build, cwd=sources, check=True)
    with zipfile.ZipFile(next(sources.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    return folder


def files(folder: Path) -> set[str]:
    return {path.as_posix() for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}


@pytest.mark.slow
def test_commands_away_from_a_checkout(installed: Path, tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(tmp_path / "home")}
    before = files(installed)

    def suite(*words: str) -> str:
        command = [sys.executable, "-m", "suite", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True).stdout

    assert "214" in suite("ledger")
    assert json.loads(suite("data", "fetch", "--json"))["shapes"]["status"] == "verified"
    assert json.loads(suite("data", "status", "--json"))["val2017"]["status"] == "absent"
    suite("report", "--only", "tables")
    assert (tmp_path / "data" / "shapes" / "val").is_dir()
    assert (tmp_path / "reports" / "ledger.md").is_file()
    assert files(installed) == before

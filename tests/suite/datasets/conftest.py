from __future__ import annotations

from pathlib import Path

import pytest

from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig

REPOSITORY = Path(__file__).resolve().parents[3]
SMALL = ShapesConfig(train_videos=6, val_videos=4)


@pytest.fixture(scope="session")
def small_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few videos of the embedded set, generated once."""
    folder = tmp_path_factory.mktemp("small") / "shapes"
    generate(folder, SMALL)
    return folder


@pytest.fixture
def empty_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository root that the suite believes in."""
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


@pytest.fixture
def dvc_root(empty_root: Path) -> Path:
    """A root that DVC accepts too."""
    (empty_root / ".dvc").mkdir()
    (empty_root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    no_scm = true\n")
    (empty_root / ".dvcignore").write_bytes((REPOSITORY / ".dvcignore").read_bytes())
    return empty_root

from __future__ import annotations

from pathlib import Path

import pytest

from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig

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
    return tmp_path

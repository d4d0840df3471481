from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from suite.datasets.embedded import generate
from suite.datasets.shapes_scene import ShapesConfig
from suite.datasets.state import directory_digest
from suite.report import figures

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def small_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository root of its own, whose pinned embedded set is a few videos, so that the main job takes seconds.

    Of the report's figures it draws one, of what the root's own records hold; `test_render` draws all.
    """
    shapes = tmp_path / "data" / "shapes"
    generate(
        shapes, ShapesConfig(train_videos=4, val_videos=3, train_frames=(3, 3), val_frames=(3, 3), long_frames=(3, 3))
    )
    pins = yaml.safe_load((REPOSITORY / "datasets.dvc").read_text())
    for out in pins["outs"]:
        if out["path"] == "data/shapes":
            files = [path for path in shapes.rglob("*") if path.is_file()]
            out["md5"] = directory_digest(shapes)[0]
            out["size"], out["nfiles"] = sum(path.stat().st_size for path in files), len(files)
    (tmp_path / "datasets.dvc").write_text(yaml.safe_dump(pins, sort_keys=False))
    (tmp_path / "README.md").write_text((REPOSITORY / "README.md").read_text())
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path))
    monkeypatch.setattr(figures, "FIGURES", {"training_curve": figures.FIGURES["training_curve"]})
    return tmp_path

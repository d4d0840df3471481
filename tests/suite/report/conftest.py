"""Folders of reports with synthetic records."""

from pathlib import Path

import pytest
from PIL import Image

from suite.drawing.tracks import animated_png
from suite.records.schema import Artifact, Subject
from suite.report.render import render_report
from tests.suite.report.synthetic import TINY, RunMaker


@pytest.fixture
def maker(tmp_path: Path) -> RunMaker:
    """A writer of synthetic runs into an empty ``reports/records``."""
    folder = tmp_path / "reports" / "records"
    folder.mkdir(parents=True)
    return RunMaker(folder)


@pytest.fixture
def filled(maker: RunMaker) -> RunMaker:
    """The same with three trained seeds, one latency run and counts."""
    maker.everything()
    return maker


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole report of the same runs and of two pictures, rendered once; tests copy it before they change it."""
    maker = RunMaker(tmp_path_factory.mktemp("rendered") / "reports" / "records")
    maker.folder.mkdir(parents=True)
    maker.everything()
    reports = maker.folder.parent
    (reports / "pictures").mkdir()
    Image.new("RGB", (12, 4), (9, 9, 9)).save(reports / "pictures" / "shapes_tracks.png")
    frames = [Image.new("RGB", (8, 4), (60 * number, 0, 0)) for number in range(3)]
    (reports / "pictures" / "shapes_tracks_animated.png").write_bytes(animated_png(frames))
    for name in ("shapes_tracks", "shapes_tracks_animated"):
        picture = Artifact(name, f"reports/pictures/{name}.png", "0" * 64, Subject(TINY), f"the {name}")
        maker.write(maker.run(name), picture)
    (reports.parent / "README.md").write_text("somebody's\n")
    render_report(reports)
    return reports

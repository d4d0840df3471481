"""A folder of reports with synthetic records."""

from pathlib import Path

import pytest

from tests.suite.report.synthetic import RunMaker


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

"""Where the repository keeps things. Every other module asks here."""

from __future__ import annotations

import os
from pathlib import Path


def repository_root() -> Path:
    """Return the folder that data, runs and reports lie below.

    It is the checkout that this code runs from, or the working directory where the suite was installed as a package;
    ``MOBILEINST_SUITE_ROOT`` names another.
    """
    override = os.environ.get("MOBILEINST_SUITE_ROOT")
    if override:
        return Path(override).resolve()
    checkout = Path(__file__).resolve().parents[1]
    return checkout if (checkout / "datasets.dvc").is_file() else Path.cwd()


def data_dir() -> Path:
    """Return the folder of generated and downloaded datasets (git ignores it)."""
    return repository_root() / "data"


def runs_dir() -> Path:
    """Return the folder of checkpoints, results files, exported graphs and logs (ignored by git)."""
    return repository_root() / "runs"


def reports_dir() -> Path:
    """Return the folder of committed records and the tables, figures and pictures rendered from them."""
    return repository_root() / "reports"


def results_readme(reports: Path) -> Path | None:
    """Return the README.md that shows what a folder of reports holds: a checkout's, for its own folder alone.

    Beside any other folder, and where the root is no checkout, a README.md is somebody else's: None.
    """
    root = repository_root()
    readme = root / "README.md"
    own = reports.resolve() == reports_dir() and (root / "datasets.dvc").is_file() and readme.is_file()
    return readme if own else None


def records_dir() -> Path:
    """Return the folder of committed records."""
    return reports_dir() / "records"


def shown(path: Path) -> str:
    """Return ``path`` as a command typed here would name it: relative to the working directory, or from the root."""
    whole, here = path.absolute(), Path.cwd()
    return whole.relative_to(here).as_posix() if whole.is_relative_to(here) else str(whole)


def recorded(path: Path) -> str:
    """Return ``path`` relative to the repository where possible, so that records hold no home folders."""
    whole, root = path.resolve(), repository_root()
    return whole.relative_to(root).as_posix() if whole.is_relative_to(root) else str(path)

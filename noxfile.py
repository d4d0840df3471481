"""Sessions: each one's first docstring line is its help. Glue only; the work is in `suite`."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "types", "tests"]

ROOT = Path(__file__).parent
ENVIRONMENTS = ROOT / ".nox"


def environment(session: nox.Session, name: str, extras: str) -> str:
    """Return the Python of a shared environment, created and filled only when its pins or extras changed.

    Nox makes one environment a session; torch should be installed once, so sessions share ``.nox/suite``
    (everything) and ``.nox/report`` (tables and plots, without torch). ``MOBILEINST_SUITE_PYTHON`` names a Python that
    has everything already; nothing is installed then.
    """
    if chosen := os.environ.get("MOBILEINST_SUITE_PYTHON"):
        return chosen
    if sys.version_info < (3, 11):  # noqa: UP036 (nox itself may run on an older Python)
        session.error(f"Python 3.11 or newer is needed, nox runs on {sys.version.split()[0]}; use python3.11 -m venv")
    folder = ENVIRONMENTS / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    pins = (ROOT / "pyproject.toml").read_bytes() + (ROOT / "constraints.txt").read_bytes()
    stamp = folder / f"installed-{extras or 'base'}.sha256"
    wanted = hashlib.sha256(pins + str(ROOT).encode()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
        session.log(f"installing into .nox/{name} (once; about 90 s with torch)")
        session.run(sys.executable, "-m", "venv", str(folder), external=True, silent=True)
        target = f"{ROOT}[{extras}]" if extras else str(ROOT)
        constraints = str(ROOT / "constraints.txt")
        session.run(str(python), "-m", "pip", "install", "-qq", "-c", constraints, "-e", target, external=True)
        stamp.write_text(wanted)
    return str(python)


def suite_command(session: nox.Session, *words: str, env: str = "suite", extras: str = "run") -> None:
    """Run ``python -m suite`` with the session's own arguments appended."""
    python = environment(session, env, extras)
    session.run(python, "-m", "suite", *words, *session.posargs, external=True)


def gate_command(session: nox.Session, *words: str, env: str = "suite", extras: str = "run") -> None:
    """Run a gate and end with its own exit code, 1 for worse and 3 for nothing measured; nox would make 1 of both."""
    python = environment(session, env, extras)
    code = subprocess.run([python, "-m", "suite", *words, *session.posargs], check=False).returncode
    if code:
        raise SystemExit(code)


@nox.session(python=False)
def reproduce(session: nox.Session) -> None:
    """Train, score, time and compare on the embedded dataset; ends with the ledger and fills reports/."""
    suite_command(session, "reproduce")


@nox.session(python=False)
def ablation(session: nox.Session) -> None:
    """Train what is left of the ablation, as many at a time as cores (an hour or two; -- --plan tells)."""
    suite_command(session, "ablation")


@nox.session(python=False)
def prior_art(session: nox.Session) -> None:
    """Time MobileInst and every method of the paper's two tables on one core, in one run a reading (about 40 min)."""
    suite_command(session, "prior-art")


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the fast tests on two processes (arguments after -- go to pytest)."""
    python = environment(session, "suite", "run,dev")
    workers = [] if any(word.startswith("-n") for word in session.posargs) else ["-n", "2"]
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    session.run(python, "-m", "pytest", *workers, *session.posargs, external=True, env=threads)


@nox.session(python=False)
def benchmarks(session: nox.Session) -> None:
    """Run the suite's own performance benchmarks (pytest-benchmark, CPU time)."""
    python = environment(session, "suite", "run,dev")
    options = ["--benchmark-only", "--benchmark-timer=time.process_time", "-o", "addopts=-ra"]
    session.run(python, "-m", "pytest", *options, "tests/benchmarks", *session.posargs, external=True)


@nox.session(python=False)
def gate_latency(session: nox.Session) -> None:
    """Compare this code's latency and graph counts with the commit before (or --baseline REV after --)."""
    gate_command(session, "latency", "gate")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff, and with import-linter which package may import which."""
    python = environment(session, "suite", "run,dev")
    session.run(python, "-m", "ruff", "check", ".", external=True)
    session.run(python, "-m", "ruff", "format", "--check", ".", external=True)
    session.run(python, "-c", "from importlinter.cli import lint_imports_command as run; run()", external=True)


@nox.session(python=False)
def overfit(session: nox.Session) -> None:
    """Learn 16 real photographs by heart (minutes): targets, losses, training and scoring belong together."""
    python = environment(session, "suite", "run,dev")
    session.run(python, "-m", "tests.checks.overfit", *session.posargs, external=True)


@nox.session(python=False)
def recipes(session: nox.Session) -> None:
    """Train a COCO recipe and a YouTube-VIS recipe on sample pictures (nearly two hours): they learn."""
    python = environment(session, "suite", "run,dev")
    session.run(python, "-m", "tests.checks.recipes", *session.posargs, external=True)


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    python = environment(session, "suite", "run,dev")
    session.run(python, "-m", "mypy", external=True)


@nox.session(python=False)
def data(session: nox.Session) -> None:
    """Make the pinned datasets true on this disk (default: the embedded one; groups after --)."""
    suite_command(session, "data", "fetch")


@nox.session(python=False)
def tables(session: nox.Session) -> None:
    """Redraw the tables from the committed records, without torch."""
    suite_command(session, "tables", env="report", extras="")


@nox.session(python=False)
def plots(session: nox.Session) -> None:
    """Redraw the plots from the committed records, without torch."""
    suite_command(session, "plots", env="report", extras="")


@nox.session(python=False)
def report(session: nox.Session) -> None:
    """Redraw tables, plots, README's results and the page, without torch; -- --check fails on any difference."""
    suite_command(session, "report", env="report", extras="")


@nox.session(python=False)
def gate_accuracy(session: nox.Session) -> None:
    """Compare the records of a folder (-- FOLDER) with the committed ones; fails if AP dropped or nothing compares."""
    gate_command(session, "gate", "accuracy", env="report", extras="")


@nox.session(python=False)
def ledger(session: nox.Session) -> None:
    """Print every published number with its verdict, from the committed records."""
    suite_command(session, "ledger", env="report", extras="")

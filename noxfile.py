"""Sessions, the daily ones first; each one's first docstring line is what ``nox -l`` shows. The work is in `suite`."""

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
    (everything) and ``.nox/report`` (scoring and the report, without torch). ``MOBILEINST_SUITE_PYTHON`` names a Python
    that has everything already; nothing is installed then.

    Args:
        session: the running session.
        name: folder of the environment below ``.nox``.
        extras: extras of pyproject.toml, separated by commas; empty for none.
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
    """Run ``python -m suite`` with the session's own arguments appended and end with its exit code.

    Nox would make 1 of every exit code but 0; a gate's 1 (worse) and 3 (nothing compared) mean different things.
    """
    python = environment(session, env, extras)
    code = subprocess.run([python, "-m", "suite", *words, *session.posargs], check=False).returncode
    if code:
        raise SystemExit(code)


def python_module(session: nox.Session, *words: str, **variables: str) -> None:
    """Run ``python -m`` in the environment that has everything, with environment variables added."""
    session.run(environment(session, "suite", "run,dev"), "-m", *words, external=True, env=variables)


@nox.session(python=False)
def reproduce(session: nox.Session) -> None:
    """Train, score, time and compare on the embedded dataset; ends with the ledger and fills reports/."""
    suite_command(session, "reproduce")


@nox.session(python=False)
def suite(session: nox.Session) -> None:
    """Run any command of the suite, named after -- (e.g. -- predict --help)."""
    suite_command(session)


@nox.session(python=False)
def report(session: nox.Session) -> None:
    """Draw tables, figures, README's results and the page, without torch; -- --check fails on any difference."""
    suite_command(session, "report", env="report", extras="")


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Check style and formatting with ruff, and with import-linter which package may import which."""
    python_module(session, "ruff", "check", ".")
    python_module(session, "ruff", "format", "--check", ".")
    linter = "from importlinter.cli import lint_imports_command as run; run()"
    session.run(environment(session, "suite", "run,dev"), "-c", linter, "--no-logo", external=True)


@nox.session(python=False)
def types(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    python_module(session, "mypy")


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the documentation site into site/; a broken link or an unknown name in it fails."""
    python_module(session, "zensical", "build", "--clean", "--strict")


@nox.session(python=False)
def try_page(session: nox.Session) -> None:
    """Build site/try/, a page that runs the shipped model in a browser (needs npm; serve it with http.server)."""
    web = ENVIRONMENTS / "web"
    session.run("npm", "install", "--silent", "--prefix", str(web), "onnxruntime-web@1.30.0", external=True)
    python_module(session, "suite.deploy.browser", str(ROOT / "site" / "try"), str(web / "node_modules"))


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run the fast tests on two processes (arguments after -- go to pytest)."""
    workers = [] if any(word.startswith("-n") for word in session.posargs) else ["-n", "2", "--dist", "worksteal"]
    python_module(session, "pytest", *workers, *session.posargs, OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")


@nox.session(python=False)
def ledger(session: nox.Session) -> None:
    """Print every published number with its verdict, from the committed records, without torch."""
    suite_command(session, "ledger", env="report", extras="")


@nox.session(python=False)
def tables(session: nox.Session) -> None:
    """Draw the tables from the committed records, without torch."""
    suite_command(session, "report", "--only", "tables", env="report", extras="")


@nox.session(python=False)
def plots(session: nox.Session) -> None:
    """Draw the plots from the committed records, without torch."""
    suite_command(session, "report", "--only", "figures", env="report", extras="")


@nox.session(python=False)
def gate_accuracy(session: nox.Session) -> None:
    """Compare the records of a folder (-- FOLDER) with the committed ones; fails if AP dropped or nothing compares."""
    suite_command(session, "gate", "accuracy", env="report", extras="")


@nox.session(python=False)
def gate_latency(session: nox.Session) -> None:
    """Compare this code's latency and graph counts with the commit before (or --baseline REV after --)."""
    suite_command(session, "latency", "gate")


@nox.session(python=False)
def estimate(session: nox.Session) -> None:
    """Estimate every published phone latency, in hours of one core; what was counted is kept when it is stopped."""
    words = ("--models", "published", "--precision", "fp16,fp32", "--record", *session.posargs)
    suite_command(session, "latency", "estimate", *words)


@nox.session(python=False)
def checks(session: nox.Session) -> None:
    """Train on real sample pictures: -- overfit (16 learned by heart, minutes) or -- recipes (nearly two hours)."""
    python_module(session, "tests.checks.learning", *session.posargs)


@nox.session(python=False)
def benchmarks(session: nox.Session) -> None:
    """Run the suite's own performance benchmarks (pytest-benchmark, CPU time)."""
    options = ["--benchmark-only", "--benchmark-timer=time.process_time", "-o", "addopts=-ra"]
    python_module(session, "pytest", *options, "tests/benchmarks", *session.posargs)

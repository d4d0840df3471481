"""Where a run happened and from what code: the fields of its first line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from suite import __version__
from suite.paths import repository_root
from suite.records.schema import SCHEMA_VERSION, Machine, Run

RECORDED_PACKAGES = (
    "hotcoco",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "pycocotools",
    "scipy",
    "torch",
)
RECORDED_ISA_FLAGS = ("asimd", "asimdhp", "asimddp", "avx", "avx2", "avx512f", "avx512_vnni", "amx_tile", "fma", "neon")


def git(*arguments: str) -> str | None:
    """Return what git prints in the repository, or None where it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=repository_root(), capture_output=True, text=True, check=True, timeout=30
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def git_state() -> tuple[str | None, bool | None]:
    """Return the commit's SHA and whether any file but the generated report differs; None: git does not know."""
    sha = git("rev-parse", "HEAD")
    changes = git("status", "--porcelain", "--", ".", ":(exclude)reports", ":(exclude)README.md")
    return sha, None if changes is None else bool(changes)


def describe_machine() -> Machine:
    """Describe this computer without its host name or user."""
    fields: dict[str, str] = {}
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    cpu = fields.get("model name") or platform.processor() or platform.machine()
    try:
        memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        memory_gib = None
    family = "/".join(fields[key] for key in ("cpu family", "model", "stepping") if key in fields)
    return Machine(
        name="host",
        cpu=f"{cpu} (family/model/stepping {family})" if family else cpu,
        architecture=platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gib=memory_gib,
        system=f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        isa_flags=[flag for flag in RECORDED_ISA_FLAGS if flag in flags],
    )


def installed_packages() -> dict[str, str]:
    """Return the versions of the packages that can change a number, without importing them."""
    versions = {}
    for name in RECORDED_PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def shown_command() -> str:
    """Return the command line as a user would type it, with absolute paths shortened to their last part."""
    words = [Path(word).name if word.startswith("/") else word for word in sys.argv[1:]]
    return " ".join(["python -m suite", *words])


def start_run(name: str, seed: int | None = None, command: str | None = None) -> Run:
    """Return the first line of a new run.

    Args:
        name: short kind of run, e.g. ``"train-shapes"``; it opens the run id.
        seed: the base seed, if the run has one.
        command: the command that repeats the run; this process's own if None.
    """
    now = datetime.now(UTC)
    sha, dirty = git_state()
    return Run(
        schema_version=SCHEMA_VERSION,
        run_id=f"{now:%Y%m%dT%H%M%SZ}-{name}-{uuid.uuid4().hex[:8]}",
        started_utc=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=command or shown_command(),
        suite_version=__version__,
        git_sha=sha,
        git_dirty=dirty,
        machine=describe_machine(),
        packages=installed_packages(),
        seed=seed,
    )

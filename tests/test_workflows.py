"""What CI runs exists: pinned actions, sessions, commands, and the README's own test command."""

import re
from pathlib import Path

import pytest
import yaml

from suite.cli import CommandFolder, entry

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
SESSIONS = set(re.findall(r"@nox\.session\(.*\)\ndef (\w+)", (REPOSITORY / "noxfile.py").read_text()))
README_COMMAND = re.compile(r"^python3 -m venv .*nox -s lint types tests$", re.MULTILINE)


def steps(path: Path) -> list[dict[str, object]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def test_there_are_workflows():
    assert {path.name for path in WORKFLOWS} == {"ci.yml", "phone.yml"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_a_release_and_permissions_to_reading(path: Path):
    used = [str(step["uses"]) for step in steps(path) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", name)] == []
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in yaml.safe_load(path.read_text())["jobs"].values())


@pytest.mark.parametrize(
    "path", [*WORKFLOWS, REPOSITORY / "docs" / "ci.md", REPOSITORY / ".ci" / "run"], ids=lambda path: path.name
)
def test_every_session_and_command_named_exists(path: Path):
    text = path.read_text()
    named = [name for group in re.findall(r"nox -s ((?:\w+ ?)+)", text) for name in group.split()]
    assert set(named) <= SESSIONS
    assert isinstance(entry, CommandFolder)
    known = set(entry.list_commands(None))  # type: ignore[arg-type]
    assert set(re.findall(r"python -m suite (\w[\w-]*)", text)) <= known
    assert named


def test_ci_runs_the_readmes_test_command_and_installs_what_the_readme_names():
    script, readme = (REPOSITORY / ".ci" / "run").read_text(), (REPOSITORY / "README.md").read_text()
    (told,) = README_COMMAND.findall(readme)
    assert script.rstrip().endswith(told)
    assert set(re.findall(r"--no-install-recommends\s+(\w+)", script)) == {"chromium"}
    assert re.search(r"apt-get install --no-install-recommends\s+chromium", readme)


def test_the_gates_and_the_drift_check_are_part_of_ci():
    text = (REPOSITORY / ".github" / "workflows" / "ci.yml").read_text()
    for needed in ("nox -s report -- --check", "nox -s gate_accuracy", "nox -s gate_latency", "GITHUB_STEP_SUMMARY"):
        assert needed in text

"""What README, docs and workflows tell a reader or a machine to type exists: commands, options, sessions, pins."""

import re
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from suite.cli import EXTRAS, entry

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
SCRIPTS = [*WORKFLOWS, REPOSITORY / ".ci" / "run"]
SESSIONS = set(re.findall(r"@nox\.session\(.*\)\ndef (\w+)", (REPOSITORY / "noxfile.py").read_text()))
END_OF_COMMAND = re.compile(r"\s#|\s\|\s|;|&&|\|\||>|`|\)$")


def code(path: Path) -> list[str]:
    """Return the commands of a file: of a document what is set as code, of a script every line."""
    text = path.read_text().replace("\\\n", " ")
    if path.suffix != ".md":
        return text.splitlines()
    text = text.split("<!-- begin: results -->")[0] + text.split("<!-- end: results -->")[-1]
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4}\S.*$", text, re.MULTILINE)
    inline = [
        " ".join(words.split())
        for words in re.findall(r"`([^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    ]
    return [line for block in blocks for line in block.splitlines()] + indented + inline


def typed(path: Path, start: str) -> list[list[str]]:
    """Return the words after each ``start`` in the commands of a file; ``...`` and brackets of a synopsis left out."""
    found = []
    for line in code(path):
        for rest in re.split(start, line)[1:]:
            command = END_OF_COMMAND.split(rest)[0]
            found.append([word for word in re.sub(r"[\[\]\"']", " ", command).split() if word != "..."])
    return found


def parse(words: list[str]) -> None:
    """Let click parse the words of a command line without running it."""
    command: click.Command = entry
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, words = ("sources", words) if words[0] not in command.list_commands(context) else (words[0], words[1:])
        subcommand = command.get_command(context, name)
        assert subcommand is not None, f"no command {words[0]}"
        command, context = subcommand, click.Context(subcommand, parent=context)
    command.make_parser(context).parse_args(words)


@pytest.mark.parametrize("path", [*DOCUMENTS, *SCRIPTS], ids=lambda path: path.name)
def test_every_command_and_session_shown_exists_with_the_options_it_names(path: Path):
    for words in typed(path, r"-m suite |(?:^|\s)suite (?=[a-z])"):
        try:
            parse(list(words))
        except (click.UsageError, AssertionError) as error:
            pytest.fail(f"{path.name}: {' '.join(words)}: {error}")
    for words in typed(path, r"nox -s "):
        names = words[: words.index("--")] if "--" in words else words
        assert names
        assert set(names) <= SESSIONS
        if names == ["suite"]:
            parse(words[words.index("--") + 1 :])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_commits_permissions_to_reading_and_jobs_end(path: Path):
    workflow = yaml.safe_load(path.read_text())
    used = [step["uses"] for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", name)] == []
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_ci_installs_the_constrained_versions_and_each_file_by_its_digest():
    lines = (REPOSITORY / ".ci" / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    pinned = {line.split()[0].lower() for line in lines} - {line.split()[0] for line in lines if "setuptools" in line}
    # Extras that CI leaves out are constrained too.
    assert pinned <= {line.lower() for line in (REPOSITORY / "constraints.txt").read_text().split()}
    scripts = [path.read_text() for path in (*WORKFLOWS, REPOSITORY / ".ci" / "install")]
    assert not any("pip install" in script.replace("-m pip install -qq --no-build-isolation", "") for script in scripts)


def test_ci_runs_what_the_readme_tells_a_newcomer_to_run():
    script = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    reproduce, test = [line for line in code(REPOSITORY / "README.md") if line.startswith("python3 -m venv")]
    assert script[-1] == test
    assert reproduce.endswith("nox -s reproduce")
    sessions = [words[0] for words in typed(REPOSITORY / ".github" / "workflows" / "ci.yml", r"nox -s ")]
    assert {"report", "gate_accuracy", "gate_latency"} <= set(sessions)


def test_the_package_of_every_extra_is_known_to_the_error_for_a_missing_one():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    modules = {"opencv-python-headless": "cv2", "litert-torch": "litert_torch"}
    for extra in ("predict", "train", "mobile", "data", "executorch", "litert", "trackers"):
        for package in extras[extra]:
            if not package.startswith("mobileinst-suite"):
                assert EXTRAS[modules.get(package, package)] == extra

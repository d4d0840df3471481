"""Methods of installed packages: the one that the documentation prints is timed, broken ones are named."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from suite.cli import main
from suite.errors import NOTHING_MEASURED, PASS, USAGE
from suite.models import ENTRY_POINTS, discover, discover_installed, get_entry
from tests.documents.blocks import blocks

TINY = "mobileinst_topformer_tiny_shapes"
FILES = {block.file: block.text for block in blocks("docs/prior_art.md") if block.file}
Capsys = pytest.CaptureFixture[str]


def install(folder: Path, package: str, code: str, module: str | None = None) -> None:
    """Put one module and its package's metadata into a folder, as pip does."""
    (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{package} = {module or package}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that packages are found in, and another for what is exported."""
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


def test_the_documented_package_is_timed_beside_ours(site: Path, capsys: Capsys) -> None:
    (module,) = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"][ENTRY_POINTS].values()
    install(site, module, FILES[f"{module}.py"])
    words = ["--size", "64x96", "--pairs", "2", "--attempts", "1", "--spans", "network", "--json"]
    assert main(["latency", "host", "--models", f"{TINY},own_net_416", *words]) in (PASS, NOTHING_MEASURED)
    ours, given = json.loads(capsys.readouterr().out)["results"]
    assert (ours["model"], given["model"], given["width_px"]) == (TINY, "own_net_416", 96)
    rules = {problem["rule"] for problem in given["verdict"]["problems"]}
    assert not rules & {"precision_not_fp32", "outputs_differ", "not_pinned"}
    assert given["ratio_cpu"]["value"] > 0
    assert get_entry("own_net_416").package == "own_net"
    assert "own_net_416" not in discover()


@pytest.mark.parametrize(
    ("code", "module", "asked"),
    [
        (FILES["own_net.py"].replace('"own_net_416"', f'"{TINY}"'), "broken", "own_net_416"),  # repeats our name
        ("ROWS = (", "broken", "own_net_416"),
        (FILES["own_net.py"], "absent", "own_net_416"),
        (FILES["own_net.py"].replace("import torch\n", "import no_such_module\n"), "broken", "own_net_416"),
        (FILES["own_net.py"].replace("OwnNet(row.num_classes)", "OwnNet()"), "broken", "own_net_416"),
    ],
)
def test_a_broken_package_is_named_where_it_is_asked_for_and_nowhere_else(
    code: str, module: str, asked: str, site: Path, capsys: Capsys
) -> None:
    install(site, "broken", code, module)
    install(site, "other", FILES["own_net.py"].replace("own_net_416", "other_net"))
    assert main(["latency", "host", "--models", f"other_net,{asked}", "--size", "64x96"]) == USAGE
    out, error = capsys.readouterr()
    assert (out, error.splitlines()[-1].count("package broken")) == ("", 1)
    assert get_entry("other_net").package == "other"
    assert get_entry(TINY).package == ""
    assert main(["model", "--json"]) == PASS
    assert {"other_net", TINY} <= {entry["model"] for entry in json.loads(capsys.readouterr().out)["models"]}
    assert len(discover_installed()[1]) <= 1

"""The contract of every model of the folder ``suite/models``, methods of packages, and the command `model`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import torch

import suite.models as models
from suite.claims.loader import load_claims
from suite.cli import main
from suite.errors import NOTHING_MEASURED, PASS, USAGE, InputError
from suite.export.exporter import Part, export_graph
from suite.export.rewriting import Form
from suite.models import ENTRY_POINTS, ModelEntry, discover, get_entry
from tests.documents.blocks import blocks

ENTRIES = discover()
SMALL_PX = (64, 96)
TINY = "mobileinst_topformer_tiny_shapes"
FILES = {block.file: block.text for block in blocks("docs/prior_art.md") if block.file}
Capsys = pytest.CaptureFixture[str]
NEW_METHOD = """
from suite.models import ModelEntry
ROWS = (ModelEntry(name="new", method="New", backbone="ResNet-50", input_shapes=((8, 8),), num_classes=2),)
def build(row):
    import torch
    return torch.nn.Linear(row.num_classes, 1)
"""


@pytest.fixture
def a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is searched besides the package's own."""
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    return tmp_path


def costly(entry: ModelEntry) -> bool:
    """Every row of a method but the first that is not on ResNet-50: the others are built by the same code."""
    rows = [other for other in ENTRIES.values() if other.method == entry.method and other.backbone != "ResNet-50"]
    return entry is not rows[0]


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, marks=pytest.mark.slow if costly(entry) else ()) for entry in ENTRIES.values()],
    ids=ENTRIES,
)
def test_models_build_and_run(entry: ModelEntry) -> None:
    model = entry.build(0)
    assert not any(module.training for module in model.modules())
    with torch.no_grad():
        outputs = model(torch.randn(1, 3, *SMALL_PX))
    assert isinstance(outputs, tuple)
    tensors = [output for output in outputs if output is not None]
    assert tensors
    for tensor in tensors:
        assert tensor.shape[0] == 1
        assert bool(torch.isfinite(tensor).all())
    assert hasattr(model, "with_masks") or not entry.masks_apart


def test_a_model_is_drawn_from_its_seed_alone() -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    state, same, different = (get_entry(TINY).build(seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected), "building must not touch the global random state"
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert any(not torch.equal(state[name], different[name]) for name in state)


DENSE = (
    *("yolact_mobilenetv2_550", "yolact_topformer_base_550", "solov2_lite_resnet18_448"),
    *("condinst_topformer_base_640", "crossvis_topformer_base_360"),
)
OF_QUERIES = (
    *("sparseinst_topformer_base_608", "fastinst_topformer_base_640"),
    *("mask2former_topformer_base_640", "mask2former_topformer_base_640_deformable"),
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form"),
    [(name, "portable") for name in (*DENSE, *OF_QUERIES)] + [(name, "onnxruntime") for name in OF_QUERIES],
)
def test_exported_graphs_of_prior_art_compute_what_the_module_does(name: str, form: Form, tmp_path: Path) -> None:
    entry = get_entry(name)
    part = Part("with_masks", "with_masks") if entry.masks_apart else Part("whole")
    # Both sides odd multiples of 32: the backbone's token pooling has uneven cells.
    export = export_graph(name, entry.build(0), part, tmp_path / "graph.onnx", (160, 224), form)
    assert export.report.parity_max_rel < 5e-4
    assert ("mask_probabilities" if entry.masks_apart else "mask_logits") in export.outputs
    # Adaptive pooling left no gathers behind; deformable attention samples each of three maps in six layers.
    assert export.report.op_counts.get("Gather", 0) <= (3 if entry.masks_apart else 40)
    assert export.report.op_counts.get("GridSample", 0) == (18 if entry.variant == "deformable" else 0)


def test_every_published_latency_has_one_default_model_and_alternatives_name_it() -> None:
    claims = load_claims()
    timed = {claim.row_id for claim in claims if claim.metric == "latency_snapdragon_778g_ms"}
    covered = [row for entry in ENTRIES.values() for row in entry.published_rows]
    assert len(covered) == len(set(covered))
    assert {row for row in timed if row.startswith("table")} == set(covered)
    # The preprint's abstract names no backbone, so no model stands for it.
    own = {claim.row_id for claim in claims if claim.own and claim.row_id.startswith("table")}
    assert own <= set(covered)
    assert list(ENTRIES) == sorted(ENTRIES)
    for entry in ENTRIES.values():
        assert bool(entry.reading) == (entry.method != "MobileInst")
        assert entry.selection is not None
        if entry.alternative_to:
            default = ENTRIES[entry.alternative_to]
            assert not entry.published_rows
            assert default.published_rows
            assert default.backbone == entry.backbone


def test_a_new_file_is_a_new_model(a_new_folder: Path) -> None:
    (a_new_folder / "new_method.py").write_text(NEW_METHOD)
    (a_new_folder / "_helper.py").write_text("raise RuntimeError('helpers are not methods')\n")
    entry = get_entry("new")
    assert (entry.method, entry.num_classes, entry.selection) == ("New", 2, None)
    assert isinstance(entry.build(0), torch.nn.Linear)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ROWS = (", ""),
        (NEW_METHOD.replace("def build", "def make"), ""),
        (NEW_METHOD.replace('"new"', f'"{TINY}"'), ""),
        (NEW_METHOD.replace("ModelEntry(", "dict("), " line 3"),
        (NEW_METHOD.replace("num_classes=2", "classes=2"), " line 3"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(text: str, place: str, a_new_folder: Path) -> None:
    path = a_new_folder / "zz_damaged.py"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        discover()
    assert str(caught.value).startswith(f"{path}{place}:")


def test_json_of_a_model_adds_up_with_the_masks_of_100_instances(capsys: Capsys) -> None:
    sizes = []
    for words in ([TINY, "--size", "64X96"], ["condinst_topformer_base_640"]):
        assert main(["model", *words, "--json"]) == PASS
        sizes.append(json.loads(capsys.readouterr().out))
        assert sizes[-1]["model"] == words[0]
        for key in ("parameters", "macs"):
            assert sum(module[key] for module in sizes[-1]["modules"].values()) == sizes[-1][key]
    own, rival = sizes
    assert (own["height_px"], own["width_px"], own["masks_apart"], rival["masks_apart"]) == (64, 96, False, True)
    assert list(own["modules"]) == ["backbone", "mask_decoder", "instance_decoder", "mask_product"]
    assert rival["parameters"] / 1e6 == pytest.approx(14.893, rel=1e-3)
    assert rival["macs"] / 1e9 == pytest.approx(80.02, rel=1e-3)


def install(folder: Path, package: str, code: str) -> None:
    """Put one module, if there is code, and its package's metadata into a folder, as pip does."""
    if code:
        (folder / f"{package}.py").write_text(code)
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{package} = {package}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOBILEINST_SUITE_ROOT", str(tmp_path / "root"))
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_documented_package_is_timed_beside_ours(site: Path, capsys: Capsys) -> None:
    (module,) = tomllib.loads(FILES["pyproject.toml"])["project"]["entry-points"][ENTRY_POINTS].values()
    install(site, module, FILES[f"{module}.py"])
    words = ["--size", "64x96", "--pairs", "20", "--attempts", "1", "--spans", "network", "--json"]
    assert main(["latency", "host", "--models", f"{TINY},own_net_416", *words]) in (PASS, NOTHING_MEASURED)
    ours, given = json.loads(capsys.readouterr().out)["results"]
    assert (ours["model"], given["model"], given["width_px"]) == (TINY, "own_net_416", 96)
    assert not {"outputs_differ", "not_pinned"} & {problem["rule"] for problem in given["verdict"]["problems"]}
    assert get_entry("own_net_416").package == "own_net"
    assert "own_net_416" not in discover()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("own_net_416", TINY),  # a name of ours
        ("ROWS = (", "ROWS = ["),
        ("import torch\n", "import no_such_module\n"),
        ("OwnNet(row.num_classes)", "OwnNet()"),
        ("OwnNet(row.num_classes)", "exit()"),
        ("own_net_416", "\\x1b[31m"),
        ("own_net_416", "../own_net_416"),
        ("ROWS = (", 'ROWS = (\n    ModelEntry(name="own_net_416", method="x", backbone="x"),'),  # a name twice
        (FILES["own_net.py"], ""),  # no module
    ],
)
def test_a_broken_package_is_named_where_it_is_asked_for_and_nowhere_else(
    old: str, new: str, site: Path, capsys: Capsys
) -> None:
    install(site, "broken", FILES["own_net.py"].replace(old, new))
    install(site, "other", FILES["own_net.py"].replace("own_net_416", "other_net"))
    assert main(["latency", "host", "--models", "own_net_416", "--size", "64x96"]) == USAGE
    out, error = capsys.readouterr()
    assert (out, error.splitlines()[-1].count("package broken")) == ("", 1)
    assert (get_entry("other_net").package, get_entry(TINY).package) == ("other", "")
    assert main(["model", "--json"]) == PASS
    assert {"other_net", TINY} <= {entry["model"] for entry in json.loads(capsys.readouterr().out)["models"]}


def test_a_package_that_prints_and_ends_the_process_when_imported_is_left_out(site: Path, capsys: Capsys) -> None:
    install(site, "ender", "")
    (site / "ender-1.0.dist-info" / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\nnet = ender.net\n")
    (site / "ender").mkdir()
    (site / "ender" / "__init__.py").write_text("print('x')\nraise BaseException")
    assert main(["model", "--json"]) == PASS
    out, error = capsys.readouterr()
    assert TINY in {entry["model"] for entry in json.loads(out)["models"]}
    assert "package ender" in error

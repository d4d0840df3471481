"""The contract of every model that the folder ``suite/models`` holds, ours and prior art, and the command `model`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import suite.models as models
from suite.claims.loader import load_claims
from suite.cli import main
from suite.errors import InputError
from suite.export.exporter import Part, export_graph
from suite.export.rewriting import Form
from suite.models import ModelEntry, discover, get_entry

torch.set_num_threads(1)

ENTRIES = discover()
SMALL_PX = (64, 96)
TINY = "mobileinst_topformer_tiny_shapes"
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


@pytest.mark.parametrize(
    ("arguments", "masks_apart", "parameters_m", "macs_g"),
    [([TINY, "--size", "64x96"], False, None, None), (["condinst_topformer_base_640"], True, 14.893, 80.02)],
)
def test_json_of_a_model_adds_up_with_the_masks_of_100_instances(
    arguments: list[str],
    masks_apart: bool,
    parameters_m: float | None,
    macs_g: float | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["model", *arguments, "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert set(size) == {"model", "height_px", "width_px", "masks_apart", "parameters", "macs", "modules"}
    assert (size["model"], size["masks_apart"]) == (arguments[0], masks_apart)
    for key in ("parameters", "macs"):
        assert sum(module[key] for module in size["modules"].values()) == size[key]
    if masks_apart:
        assert size["parameters"] / 1e6 == pytest.approx(parameters_m, rel=1e-3)
        assert size["macs"] / 1e9 == pytest.approx(macs_g, rel=1e-3)
    else:
        assert (size["height_px"], size["width_px"]) == (64, 96)
        assert list(size["modules"]) == ["backbone", "mask_decoder", "instance_decoder", "mask_product"]

"""The contract of every model that the folder ``suite/models`` holds, ours and prior art."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import suite.models as models
from reference_model.config import VARIANTS
from suite.claims.loader import load_claims
from suite.errors import InputError
from suite.models import ModelEntry, discover, get_entry

torch.set_num_threads(1)

ENTRIES = discover()
SMALL_PX = (64, 96)


@pytest.fixture
def a_new_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is searched besides the package's own."""
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    return tmp_path


def test_every_variant_of_the_reference_model_is_found() -> None:
    assert set(VARIANTS) <= set(ENTRIES)
    assert list(ENTRIES) == sorted(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_entries_are_complete(entry: ModelEntry) -> None:
    rows = {claim.row_id for claim in load_claims()}
    assert entry.description
    assert "\n" not in entry.description
    assert entry.method
    assert entry.backbone
    assert entry.num_classes > 0
    assert entry.input_shapes
    assert all(side > 0 for shape in entry.input_shapes for side in shape)
    assert (entry.input_height_px, entry.input_width_px) == entry.input_shapes[0]
    assert set(entry.published_rows) <= rows


def costly(entry: ModelEntry) -> bool:
    """Prior art of tens of millions of parameters, and further readings of a row."""
    return bool(entry.alternative_to) or entry.backbone == "ResNet-50"


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, marks=pytest.mark.slow if costly(entry) else ()) for entry in ENTRIES.values()],
    ids=ENTRIES,
)
def test_models_build_by_seed_and_run(entry: ModelEntry) -> None:
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one, again, other = entry.build(0), entry.build(0), entry.build(1)
    assert torch.equal(torch.rand(1), expected), "building must not touch the global random state"
    assert not any(module.training for module in one.modules())
    state, same, different = one.state_dict(), again.state_dict(), other.state_dict()
    assert all(torch.equal(state[name], same[name]) for name in state)
    assert any(not torch.equal(state[name], different[name]) for name in state)
    with torch.no_grad():
        outputs = one(torch.randn(1, 3, *SMALL_PX))
    assert isinstance(outputs, tuple)
    tensors = [output for output in outputs if output is not None]
    assert tensors
    for tensor in tensors:
        assert isinstance(tensor, torch.Tensor)
        assert tensor.shape[0] == 1
        assert bool(torch.isfinite(tensor).all())


def test_shapes_of_the_paper_s_rows() -> None:
    assert ENTRIES["mobileinst_topformer_base_640"].input_shapes == ((640, 864), (640, 640))
    assert ENTRIES["mobileinst_topformer_base_512"].input_shapes == ((512, 864), (512, 512))
    assert ENTRIES["mobileinst_topformer_base_360"].input_shapes == ((384, 640),)
    assert ENTRIES["mobileinst_topformer_tiny_shapes"].input_shapes == ((128, 192),)
    assert ENTRIES["mobileinst_topformer_base_640"].backbone == "TopFormer-Base"
    assert ENTRIES["mobileinst_mobilenetv2_640"].backbone == "MobileNetV2"


def test_own_published_rows_have_their_model() -> None:
    covered = {row for entry in ENTRIES.values() for row in entry.published_rows}
    own = {claim.row_id for claim in load_claims() if claim.own and claim.kind == "absolute"}
    # The preprint's abstract names no backbone, so no model stands for it.
    assert {row for row in own - covered if row.startswith("table")} == set()


def test_every_published_latency_has_one_default_model_and_alternatives_name_it() -> None:
    timed = {claim.row_id for claim in load_claims() if claim.metric == "latency_snapdragon_778g_ms"}
    covered = [row for entry in ENTRIES.values() for row in entry.published_rows]
    assert sorted(covered) == sorted(set(covered))
    assert {row for row in timed if row.startswith("table")} == set(covered)
    for entry in ENTRIES.values():
        assert bool(entry.reading) == (entry.method != "MobileInst")
        if entry.alternative_to:
            default = ENTRIES[entry.alternative_to]
            assert not entry.published_rows
            assert default.published_rows
            assert (default.method, default.backbone) == (entry.method.replace("-Lite", ""), entry.backbone) or (
                default.method == entry.method
            )


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(InputError, match=r"unknown model 'yolo'; known are .*mobileinst_topformer_tiny_shapes"):
        get_entry("yolo")


def test_a_new_file_is_a_new_model(a_new_folder: Path) -> None:
    (a_new_folder / "new_method.py").write_text(
        "from suite.models import ModelEntry\n"
        "ENTRIES = (ModelEntry('new', 'New.', 'New', 'ResNet-50', ((8, 8),), 2, lambda seed: None),)\n"
    )
    (a_new_folder / "_helper.py").write_text("raise RuntimeError('helpers are not methods')\n")
    assert get_entry("new").method == "New"


def test_files_without_entries_and_names_taken_twice_are_refused(a_new_folder: Path) -> None:
    (a_new_folder / "zz_without_entries.py").write_text("")
    with pytest.raises(InputError, match=r"suite/models/zz_without_entries\.py: defines no ENTRIES"):
        discover()
    (a_new_folder / "zz_without_entries.py").unlink()
    (a_new_folder / "zz_twice.py").write_text("from suite.models.mobileinst import ENTRIES\n")
    with pytest.raises(InputError, match=r"zz_twice\.py: model 'mobileinst_\w+' is already defined in suite"):
        discover()

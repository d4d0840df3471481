"""The published tables are read completely, and a damaged one is refused by file and line."""

import csv
import re
import shutil
from pathlib import Path

import pytest

from suite.claims.claim import Claim
from suite.claims.loader import CLAIMS_FOLDER, load_claims
from suite.errors import DataError, InputError


@pytest.fixture(scope="module")
def numbers() -> dict[str, Claim]:
    return {claim.claim_id: claim for claim in load_claims()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in CLAIMS_FOLDER.glob("*.csv"):
        shutil.copy(path, tmp_path)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_filled_number_cell_is_one_claim_with_its_digits(numbers):
    for name in ("coco_test_dev.csv", "youtube_vis.csv", "third_party_reproductions.csv"):
        with (CLAIMS_FOLDER / name).open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        columns = [column for column in rows[0] if re.match(r"(ap|ar1|latency)", column)]
        printed = sorted(row[column] for row in rows for column in columns if row[column])
        prefix = {"coco": ("table1/", "arxiv"), "youtube": ("table2/",), "third": ("third-party/",)}[name.split("_")[0]]
        ours = sorted(claim.text for claim in numbers.values() if claim.claim_id.startswith(prefix))
        assert printed == ours


def test_known_cells(numbers):
    rows = {"table2/2019/crossvis-resnet-50": "differs by -0.7: 35.5", "table1/condinst-resnet-50-800": "other split"}
    assert all(numbers[f"{row}/ap"].upstream.startswith(said) for row, said in rows.items())
    ap = numbers["table1/mobileinst-topformer-base-640/ap"]
    assert (ap.value, ap.text, ap.unit, ap.dataset, ap.own) == (31.2, "31.2", "AP points", "coco test-dev", True)
    assert (ap.source, ap.record_metric, ap.short_side_px) == ("aaai2024-table1", "mask_ap", 640)
    latency = numbers["table2/2019/mobileinst-topformer-base/latency_snapdragon_778g_ms"]
    assert (latency.value, latency.unit, latency.device, latency.record_metric) == (188, "ms", "snapdragon-778g", None)
    rebuilt = ("table2/2021/sparseinst-vis-topformer-base/ap", "table1/mask2former-topformer-base-640/ap")
    assert all(numbers[name].reimplemented for name in rebuilt)
    assert numbers["third-party/ambitious-idiot/topformer-base-640/ap"].origin == "third-party"
    assert numbers["arxiv-v1-abstract/mobileinst/latency_snapdragon_778g_ms"].source == "arxiv-2303.17594v1-abstract"


def test_ratios_are_computed_from_the_tables(numbers, folder):
    assert numbers["ratio/coco-latency-vs-mask2former"].value == pytest.approx(433 / 930)
    assert numbers["ratio/video-latency-vs-sparseinst-vis"].value == pytest.approx(188 / 389)
    edit(folder / "coco_test_dev.csv", "640,433,31.2", "640,465,31.2")
    changed = {claim.claim_id: claim for claim in load_claims(folder)}
    assert changed["ratio/coco-latency-vs-mask2former"].value == pytest.approx(0.5)


def test_doubts_travel_with_the_claims_they_concern(numbers):
    for name, concerned in (("mask2former-topformer-base-640", True), ("fastinst-topformer-base-640", False)):
        claim = numbers[f"table1/{name}/ap_medium"]
        assert any("zero-area" in doubt for doubt in claim.doubts) == claim.disputed == concerned
    assert numbers["table1/fastinst-topformer-base-640/latency_snapdragon_778g_ms"].footnotes
    snapdragon = [claim for claim in numbers.values() if claim.device == "snapdragon-778g" and claim.kind == "absolute"]
    assert all(claim.doubts for claim in snapdragon)


@pytest.mark.parametrize(
    ("name", "old", "new", "place"),
    [
        ("coco_test_dev.csv", "method,backbone", "method,trunk", "line 1"),
        ("coco_test_dev.csv", "4451,37.8", "4451,378", "line 3: ap:"),
        ("coco_test_dev.csv", "48.7,no,", "48.7,", "line 3: 11 cells"),
        ("coco_test_dev.csv", "CondInst,ResNet-50,800,4451", "Mask R-CNN,ResNet-50,800,4451", "mask-r-cnn"),
        ("ratios.csv", "table1/fastinst-", "table1/slowinst-", "line 3: 'table1/slowinst-"),
        ("trends.csv", "0.8,1.3", "1.8,1.3", "line 2"),
        ("doubts.csv", "arxiv-v1-abstract/*", "arxiv-v7/*", "arxiv-v7/*"),
        ("doubts.csv", "the size of SeaFormer", '"the" size of SeaFormer', "line 22"),
    ],
)
def test_a_damaged_table_is_refused_by_file_and_line(folder, name, old, new, place):
    edit(folder / name, old, new)
    with pytest.raises(InputError) as error:
        load_claims(folder)
    assert place in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_table_is_named(folder):
    (folder / "trends.csv").unlink()
    with pytest.raises(DataError, match=r"trends\.csv"):
        load_claims(folder)

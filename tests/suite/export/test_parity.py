"""The export against the model it came from, in AP on real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reference_model.config import VARIANTS
from suite.cli import main

TINY = "mobileinst_topformer_tiny_shapes"


def pictures(shared_data: Path) -> list[str]:
    coco = shared_data / "coco_mini"
    return ["--annotations", str(coco / "annotations" / "instances_val2017.json"), "--images", str(coco / "val2017")]


def test_every_mask_comes_back_from_the_graph(
    shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["parity", TINY, *pictures(shared_data), "--limit", "3", "--fixed", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pictures"] == 3
    assert found["agreement_ap"] == pytest.approx(1, abs=1e-3)
    assert found["graph_ap"] == pytest.approx(found["reference_ap"], abs=1e-3)
    assert found["export"]["parity_max_rel"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in VARIANTS if name != TINY])
def test_every_variant_agrees_with_its_graph_on_real_pictures(
    name: str, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["parity", name, *pictures(shared_data), "--limit", "2", "--fixed", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agreement_ap"] == pytest.approx(1, abs=1e-3)


def test_bad_words_are_one_line(shared_data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for words, part in (
        (["nonsense", *pictures(shared_data)], "nonsense"),
        ([TINY, "--annotations", str(tmp_path / "no.json"), "--images", str(tmp_path)], "no.json"),
    ):
        assert main(["parity", *words]) in (2, 4)
        error = capsys.readouterr().err.strip()
        assert error.count("\n") == 0
        assert part in error

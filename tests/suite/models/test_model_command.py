from __future__ import annotations

import json

import pytest
import torch

from suite.cli import main
from suite.models import discover

torch.set_num_threads(1)


def test_json_is_one_object_with_modules_that_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "mobileinst_topformer_tiny_shapes", "--size", "64x96", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert list(size) == ["model", "height_px", "width_px", "masks_apart", "parameters", "macs", "modules"]
    assert (size["model"], size["height_px"], size["width_px"]) == ("mobileinst_topformer_tiny_shapes", 64, 96)
    assert list(size["modules"]) == ["backbone", "mask_decoder", "instance_decoder", "mask_product"]
    for key in ("parameters", "macs"):
        assert sum(module[key] for module in size["modules"].values()) == size[key]


def test_a_method_whose_network_stops_before_masks_is_counted_with_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "condinst_topformer_base_640", "--json"]) == 0
    size = json.loads(capsys.readouterr().out)
    assert size["masks_apart"] is True
    assert size["parameters"] / 1e6 == pytest.approx(14.893, rel=1e-3)
    assert size["macs"] / 1e9 == pytest.approx(80.02, rel=1e-3)
    for key in ("parameters", "macs"):
        assert sum(module[key] for module in size["modules"].values()) == size[key]


def test_table_at_the_primary_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "mobileinst_topformer_tiny_shapes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mobileinst_topformer_tiny_shapes at 128x192 px, one image"
    assert lines[1].split() == ["module", "parameters", "(M)", "MACs", "(G)"]
    assert lines[2].split()[:2] == ["backbone", "1.294"]
    assert lines[-1].split()[0] == "total"


def test_list_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(discover())
    assert main(["model", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["models"]
    assert [model["model"] for model in listed] == list(discover())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["mobileinst_tiny"], "unknown model 'mobileinst_tiny'; known are "),
        (["mobileinst_topformer_tiny_shapes", "--size", "640"], "'640'"),
        (["mobileinst_topformer_tiny_shapes", "--size", "0x64"], "'0x64'"),
        (["mobileinst_topformer_tiny_shapes", "--size", "64x-1"], "'64x-1'"),
        (["--size", "64x64"], "--size needs a model"),
    ],
)
def test_bad_options_end_in_one_line(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert expected in captured.err

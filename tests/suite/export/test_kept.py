"""Graphs that an earlier run has exported serve again, and only where nothing that shapes them has changed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn

from suite.export import kept
from suite.export.artifact import GraphArtifact
from suite.export.exporter import Part
from suite.export.kept import export_kept, modules_behind
from suite.export.runtime import open_session


class Output(NamedTuple):
    map: torch.Tensor


class Network(nn.Module):
    def __init__(self, stride: int, weight: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1, stride=stride, bias=False)
        nn.init.constant_(self.convolution.weight, weight)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.convolution(image))


@pytest.fixture(autouse=True)
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network above counts as the suite's own."""
    monkeypatch.setattr(kept, "OWN_PACKAGES", kept.OWN_PACKAGES | {__name__.partition(".")[0]})


def export(folder: Path, network: nn.Module, form: str = "portable") -> GraphArtifact:
    return export_kept("network", network, [Part("whole")], (32, 32), folder, form)["whole"]


def test_the_same_network_is_exported_once_and_again_where_its_files_are_spoiled(tmp_path: Path) -> None:
    first = export(tmp_path, Network(1))
    written = first.path.stat().st_mtime_ns
    assert export(tmp_path, Network(1)) == first
    assert first.path.stat().st_mtime_ns == written
    content = first.path.read_bytes()
    first.path.write_bytes(content[:-1])
    assert export(tmp_path, Network(1)) == first
    assert first.path.read_bytes() == content


def test_another_stride_weight_or_form_is_another_graph(tmp_path: Path) -> None:
    networks = (Network(1), Network(2), Network(1, 2.0))
    paths = {export(tmp_path, network).path for network in networks}
    assert len(paths | {export(tmp_path, Network(1), "onnxruntime").path}) == 4


def test_a_name_from_a_stranger_s_checkpoint_names_no_other_folder(tmp_path: Path) -> None:
    graph = export_kept("../../away", Network(1), [Part("whole")], (32, 32), tmp_path / "own")["whole"]
    assert graph.path.parent == tmp_path / "own"


def test_functions_that_a_network_calls_are_part_of_its_code() -> None:
    behind = modules_behind({"suite.models.mask2former", "torch.nn"})
    used = {"reference_model.instance_decoder", "suite.models.parts.attention", "suite.models.parts.feature_maps"}
    assert used < behind
    assert not any(name.startswith(("torch", "suite.latency")) for name in behind)


LAYER = """
import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn
from somebody_s_settings import SCALE

SHIFT = json.loads(Path(__file__).with_name("somebody_s.json").read_text())

class Output(NamedTuple):
    map: torch.Tensor

class Layer(nn.Module):
    def forward(self, image):
        return Output(image * SCALE + SHIFT)
"""
FILES = {"somebody_s_layers.py": LAYER, "somebody_s_settings.py": "SCALE = 2", "somebody_s.json": "1"}
EDITS = [
    ("somebody_s_layers.py", "+ SHIFT", "- SHIFT", 1),
    ("somebody_s_settings.py", "2", "3", 4),
    ("somebody_s.json", "1", "5", 7),
]
"""A file, its old and new text, and what the network makes of 1 then."""


@pytest.mark.parametrize(("edited", "old", "new", "answer"), EDITS)
def test_an_edited_file_of_an_installed_package_is_another_graph(
    edited: str, old: str, new: str, answer: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def value() -> float:
        for name in [name for name in sys.modules if name.startswith("somebody_s_")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        network = importlib.import_module("somebody_s_layers").Layer()
        session = open_session("onnxruntime_cpu", export(tmp_path, network).path)
        (output,) = session.run({"image": np.ones((1, 3, 32, 32), np.float32)}).values()
        return float(output.flat[0])

    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    assert value() == 3
    (tmp_path / edited).write_text(FILES[edited].replace(old, new))
    assert value() == answer


def test_layers_of_torch_that_an_installed_package_builds_are_exported_every_time(tmp_path: Path) -> None:
    def written(builder: str) -> int:
        kept = export_kept("x", Network(1), [Part("whole")], (32, 32), tmp_path, builder=builder)
        return kept["whole"].path.stat().st_ino

    assert written("suite.models.yolact") == written("suite.models.yolact")
    assert written("somebody_s_builder") != written("somebody_s_builder")

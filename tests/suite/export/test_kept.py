"""Graphs that an earlier run has exported serve again, and only where nothing that shapes them has changed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from suite.export.artifact import GraphArtifact
from suite.export.exporter import Part
from suite.export.kept import export_kept, modules_behind


class Output(NamedTuple):
    map: torch.Tensor


class Network(nn.Module):
    def __init__(self, stride: int, weight: float = 1.0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 3, 1, stride=stride, bias=False)
        nn.init.constant_(self.convolution.weight, weight)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(self.convolution(image))


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
import torch
from torch import nn
from typing import NamedTuple

class Output(NamedTuple):
    map: torch.Tensor

class Layer(nn.Module):
    def forward(self, image):
        from somebody_s_network.parts.sums import shifted
        return Output(shifted(image))
"""
BUILDER = """
import somebody_s_settings
from somebody_s_network import Layer

def build():
    return Layer()
"""
FILES = {
    "somebody_s_network/__init__.py": "from somebody_s_network.layers import Layer",
    "somebody_s_network/layers.py": LAYER,
    "somebody_s_network/parts/__init__.py": "",
    "somebody_s_network/parts/sums.py": "def shifted(image): return image + 1",
    "somebody_s_builder.py": BUILDER,
    "somebody_s_settings.py": "WIDTH = 1",
}


def test_edited_code_of_an_installed_package_is_another_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))

    def graph() -> Path:
        for name in [name for name in sys.modules if name.startswith("somebody_s_")]:
            del sys.modules[name]
        importlib.invalidate_caches()
        network = importlib.import_module("somebody_s_builder").build()
        kept = export_kept("x", network, [Part("whole")], (32, 32), tmp_path / "kept", builder="somebody_s_builder")
        return kept["whole"].path

    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = {graph(), graph()}
    assert len(found) == 1
    for name, old, new in (
        ("somebody_s_network/layers.py", "shifted(image)", "shifted(image) * 2"),
        ("somebody_s_network/parts/sums.py", "+ 1", "+ 2"),  # imported within a function
        ("somebody_s_builder.py", "Layer()", "Layer() "),
        ("somebody_s_settings.py", "1", "2"),
    ):
        (tmp_path / name).write_text(FILES[name].replace(old, new))
        path = graph()
        assert path not in found, name
        found.add(path)

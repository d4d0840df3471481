"""Which exported graph is taken for the one that is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from suite.export.exporter import Part
from suite.export.kept import export_kept, modules_behind


class AskedForError(Exception):
    """Instead of an export: the file that would have been written."""


@pytest.fixture(autouse=True)
def _no_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked_for(name: str, model: nn.Module, part: Part, path: Path, *rest: Any, **options: Any) -> None:
        raise AskedForError(path.name)

    monkeypatch.setattr("suite.export.exporter.export_graph", asked_for)


def file_of(folder: Path, stride: int) -> str:
    network = nn.Sequential(nn.Conv2d(3, 3, 1, stride=stride, bias=False))
    nn.init.ones_(network.get_parameter("0.weight"))
    with pytest.raises(AskedForError) as caught:
        export_kept("network", network, [Part("whole")], (32, 32), folder)
    return str(caught.value)


def test_networks_of_the_same_weights_and_other_strides_are_other_graphs(tmp_path: Path) -> None:
    assert file_of(tmp_path, 1) == file_of(tmp_path, 1) != file_of(tmp_path, 2)


def test_functions_that_a_network_calls_are_part_of_its_code() -> None:
    behind = modules_behind({"suite.models.mask2former", "torch.nn"})
    used = {"reference_model.instance_decoder", "suite.models.parts.attention", "reference_model.backbones.blocks"}
    assert used < behind
    assert not any(name.startswith(("torch", "suite.latency")) for name in behind)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from reference_model.config import config_from_dict
from reference_model.mobileinst import MobileInst
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.errors import InputError
from suite.export import exporter
from suite.export.exporter import OPSET, ParityError
from suite.export.mobileinst import OnnxSegmenter, export_mobileinst
from tests.reference_model.small import image, small_model, spread


def run(path: Path, **inputs: torch.Tensor) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    return dict(zip([output.name for output in session.get_outputs()], outputs, strict=True))


def largest_difference(found: np.ndarray, expected: torch.Tensor) -> float:
    return float(np.abs(found - expected.numpy()).max() / np.abs(expected.numpy()).max())


def spread_model() -> MobileInst:
    model = small_model()
    spread(model)
    return model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """TopFormer at a size whose token pooling is uneven: 96 px are one and a half cells of 64."""
    path = tmp_path_factory.mktemp("onnx") / "new" / "whole.onnx"
    return path, export_mobileinst(spread_model(), path, (64, 96)).report


def test_whole_graph_computes_what_the_model_computes(whole: tuple[Path, Any]) -> None:
    path, report = whole
    picture = image(64, 96, seed=7)
    found = run(path, image=picture)
    with torch.no_grad():
        expected = spread_model()(picture)
    assert list(found) == ["class_logits", "objectness_logits", "kernels", "mask_features", "mask_logits"]
    for name, output in found.items():
        assert largest_difference(output, getattr(expected, name)) < 1e-4, name
    assert 0 < report.parity_max_rel < 1e-4
    assert report.parity_max_abs > 0


def test_whole_graph_is_clean(whole: tuple[Path, Any]) -> None:
    path, report = whole
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    assert [(item.domain, item.version) for item in proto.opset_import] == [("", OPSET)]
    assert report.opset == OPSET
    assert not proto.functions
    assert report.nodes == len(proto.graph.node) == sum(report.op_counts.values())
    # Batch norm is folded, and uneven pooling is two products and not hundreds of gathers.
    assert "BatchNormalization" not in report.op_counts
    assert report.op_counts.get("Gather", 0) == 0
    assert report.nodes < 400
    assert b"site-packages" not in proto.SerializeToString()
    assert str(Path(__file__).parents[2]).encode() not in proto.SerializeToString()
    properties = {item.key: item.value for item in proto.metadata_props}
    assert properties["model"] == "small"
    assert properties["part"] == "whole"
    assert config_from_dict(json.loads(properties["config"])) == small_model().config
    assert [item.name for item in path.parent.iterdir()] == ["whole.onnx"]


def test_a_graph_of_fixed_size_takes_every_shape(whole: tuple[Path, Any]) -> None:
    model = spread_model()
    unpadded = PredictionProtocol(64, 96, size_divisor_px=32)
    segmenter, reference = OnnxSegmenter(whole[0]), ReferenceSegmenter(model, model.config, unpadded)
    rng = np.random.default_rng(1)
    for height, width in ((64, 96), (333, 500), (32, 48), (300, 100), (50, 400), (1, 1)):
        picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        found = segmenter.segment(picture)
        assert all(item.mask.shape == (height, width) for item in found)
        if (height, width) in ((64, 96), (333, 500)):  # the second is resized to the first, its long side rounded
            expected = reference.segment(picture)
            assert [item.score for item in found] == pytest.approx([item.score for item in expected], abs=1e-4)
            tracks, wanted = segmenter.track([picture] * 3), reference.track([picture] * 3)
            assert [track.score for track in tracks] == pytest.approx([track.score for track in wanted], abs=1e-4)
            assert [track.class_index for track in tracks] == [track.class_index for track in wanted]


@pytest.mark.parametrize(
    "config", ['{"num_classes": 5}', '{"num_queries": 7}', '{"decoder_stride": 64.0}', "[" * 100_000]
)
def test_a_graph_that_is_not_what_it_says_is_refused(whole: tuple[Path, Any], tmp_path: Path, config: str) -> None:
    proto = onnx.load(whole[0])
    (entry,) = (item for item in proto.metadata_props if item.key == "config")
    entry.value = json.dumps(json.loads(entry.value) | json.loads(config)) if config.startswith("{") else config
    onnx.save(proto, tmp_path / "other.onnx")
    with pytest.raises(InputError, match=r"other\.onnx"):
        OnnxSegmenter(tmp_path / "other.onnx")


def test_a_graph_without_an_output_or_that_fails_is_refused(whole: tuple[Path, Any], tmp_path: Path) -> None:
    proto = onnx.load(whole[0])
    del proto.graph.output[-1]
    onnx.save(proto, tmp_path / "less.onnx")
    with pytest.raises(InputError, match=r"less\.onnx"):
        OnnxSegmenter(tmp_path / "less.onnx")
    proto = onnx.load(whole[0])
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(proto, tmp_path / "two.onnx")
    with pytest.raises(InputError, match=r"two\.onnx"):
        OnnxSegmenter(tmp_path / "two.onnx").segment(np.zeros((64, 64, 3), np.uint8))


def test_frame_graph_takes_kernels_and_has_no_instance_decoder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path, model = tmp_path / "frame.onnx", small_model(backbone="mobilenetv2").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    report = export_mobileinst(model, path, (64, 64), "frame").report
    assert capfd.readouterr() == ("", "")
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    picture, kernels = image(64, 64, seed=7), torch.randn(1, 5, 8)
    found = run(path, image=picture, kernels=kernels)
    model.eval()
    with torch.no_grad():
        expected = model.masks(kernels, model.encode(picture).mask_features)
    assert list(found) == ["mask_logits"]
    assert largest_difference(found["mask_logits"], expected) < 1e-4
    # No attention, no queries, no pooling to X_L: only the kernels' own product is left of the matrix products.
    assert report.op_counts["MatMul"] == 1
    assert not {"Softmax", "LayerNormalization", "MaxPool"} & set(report.op_counts)
    queries = model.instance_decoder.query_content.numpy(force=True)
    assert all(not np.array_equal(onnx.numpy_helper.to_array(i), queries) for i in onnx.load(path).graph.initializer)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"pyramid": "injected"},
        {"semantic_enhancer": "shared", "downsampling": "bilinear", "upsampling": "nearest"},
        {"local_pooling": "average", "decoder_stride": 32},
        {"norm_position": "post", "self_attention": False, "position_encoding": "none"},
        {"decoder": "single_local"},
        {"deep_supervision": True},
    ],
    ids=str,
)
@pytest.mark.parametrize(("height", "width"), [(128, 192), (75, 133)])
def test_every_option_exports_at_even_and_odd_sizes(
    options: dict[str, Any], height: int, width: int, tmp_path: Path
) -> None:
    report = export_mobileinst(small_model(**options), tmp_path / "model.onnx", (height, width), tolerance=1e-4)
    assert report.report.nodes < 500


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((64, 100), {"dynamic": True}),
        ((0, 64), {}),
        ((64, 64), {"part": "decoder"}),
        ((64, 64), {"form": "fastest"}),
    ],
)
def test_options_that_do_not_go_together(size: tuple[int, int], options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        export_mobileinst(small_model(), tmp_path / "model.onnx", size, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_differs_is_not_written(
    whole: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proto = onnx.load(whole[0])
    bias = next(item for item in proto.graph.initializer if item.name.endswith("class_head.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + 0.1, bias.name))
    monkeypatch.setattr(exporter, "_translate", lambda *arguments: proto)
    with pytest.raises(ParityError):
        export_mobileinst(spread_model(), tmp_path / "model.onnx", (64, 96))
    assert list(tmp_path.iterdir()) == []
    export = export_mobileinst(spread_model(), tmp_path / "model.onnx", (64, 96), tolerance=1.0)
    assert export.report.parity_max_abs == pytest.approx(0.1, rel=0.01)

"""A model exported and compared with itself: on any pictures, and in the main job on the held-out frames."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from suite.accuracy.export_parity import ExportParity, measure_export_parity, open_both
from suite.datasets import embedded
from suite.datasets.coco import CocoDataset
from suite.datasets.part import part_of
from suite.errors import InputError
from suite.files import read_json, write_json
from suite.records.schema import Dataset, Measurement, Scalar
from suite.training.run import FinishedRun

if TYPE_CHECKING:
    from reference_model.export import ExportReport


def export_and_compare(
    name: str, checkpoint: Path | None, seed: int, annotations: Path, images: Path, limit: int, fixed: bool
) -> tuple[ExportReport, ExportParity]:
    """Export a variant and compare graph and reference model on the first pictures of a COCO file.

    Args:
        name: a variant of the reference model.
        checkpoint: its weights; None takes random ones.
        seed: of random weights.
        annotations: COCO file; ground truth in it is scored against, if it is there.
        images: folder of the pictures.
        limit: how many of the pictures, from the start.
        fixed: export at the variant's padded size instead of any height and width.

    Raises:
        InputError: if the variant is unknown, the checkpoint is another model's, or the export fails.
        DataError: if a file or picture is absent.
        NothingMeasuredError: if the reference model finds nothing in the pictures.
    """
    import torch

    from reference_model.config import ConfigError, get_config
    from reference_model.export import ExportError, export_onnx
    from reference_model.images import padded_size
    from reference_model.mobileinst import MobileInst
    from reference_model.weights import CheckpointError, load_checkpoint

    torch.manual_seed(seed)
    try:
        config = get_config(name)
        model = MobileInst(config) if checkpoint is None else load_checkpoint(checkpoint)[0]
    except (ConfigError, CheckpointError) as error:
        raise InputError(str(error)) from None
    if model.config.name != name:
        raise InputError(f"{checkpoint}: holds {model.config.name}, not {name}; name that model or another checkpoint")
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        truth = _first_pictures(annotations, limit, folder / "pictures.json")
        dataset = CocoDataset.load(folder / "pictures.json", images)
        size = padded_size(config.short_side_px, config.long_side_px, config.size_divisor_px)
        try:
            report = export_onnx(model, folder / "graph.onnx", *size, dynamic=not fixed)
        except ExportError as error:
            raise InputError(str(error)) from None
        return report, measure_export_parity(*open_both(model, folder / "graph.onnx"), dataset, truth, folder)


def _first_pictures(annotations: Path, limit: int, path: Path) -> Path | None:
    """Write the annotations of the first pictures; return the file if it holds ground truth, else None."""
    whole = read_json(annotations, "annotations file")
    CocoDataset.load(annotations)  # Names whatever is wrong in the user's file, not in the part of it.
    write_json(path, part_of(whole, "image", {image["id"] for image in whole["images"][:limit]}))
    return None if whole.get("annotations") is None else path


def export_parity_lines(finished: FinishedRun, graph: Path, folder: Path, dataset: Dataset) -> list[Measurement]:
    """Compare the trained model's exported graph with the model on the held-out frames, as record lines.

    Args:
        finished: the trained model.
        graph: its exported graph of the whole network.
        folder: takes the results files.
        dataset: the held-out frames' identity.
    """
    result = finished.result
    truth = embedded.annotations_path("instances", dataset.split)
    frames = embedded.images(dataset.split)
    parity = measure_export_parity(*open_both(result.model, graph), frames, truth, folder / "export_parity")
    fields: dict[str, Scalar] = {**finished.protocol, "task": "coco", "runtime": "onnxruntime", "precision": "fp32"}
    values = {
        "export_agreement_ap": parity.agreement_ap,
        "export_mask_ap_change": parity.graph_ap - parity.reference_ap,
    }
    return [Measurement(metric, value, finished.subject, fields, dataset) for metric, value in values.items()]

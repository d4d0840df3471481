"""What an export costs in AP: the exported graph and the reference model over the same pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reference_model.mobileinst import MobileInst
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import segment_dataset
from suite.accuracy.segmenter import ReferenceSegmenter
from suite.datasets.coco import CocoDataset
from suite.datasets.local_split import part_of
from suite.errors import NothingMeasuredError
from suite.export.segmenter import OnnxSegmenter, PaddedReference
from suite.files import read_json, write_json
from suite.records.schema import Dataset, Measurement, Scalar, Subject


@dataclass(frozen=True)
class ExportParity:
    """Two engines over the same pictures.

    Attributes:
        pictures: how many.
        agreement_ap: mask AP, in [0, 1], of the graph's results where the reference model's are taken for the truth;
            it is 1 only if every mask comes back, in the same class and order. It needs no annotations and no training.
        reference_ap: mask AP of the reference model against the annotations; -1 where there are none.
        graph_ap: the same of the graph.
    """

    pictures: int
    agreement_ap: float
    reference_ap: float
    graph_ap: float


def _as_truth(dataset: CocoDataset, results: Path, path: Path) -> None:
    """Write a results file in the form of annotations."""
    from pycocotools import mask as coco_mask

    found = read_json(results, "results file")
    if not found:
        raise NothingMeasuredError(
            "the reference model finds nothing in these pictures, so there is nothing to agree on; take others"
        )
    images = [
        {"id": image.image_id, "file_name": image.file_name, "height": image.height, "width": image.width}
        for image in dataset.images
    ]
    names = zip(dataset.categories.ids, dataset.categories.names, strict=True)
    annotations = [
        {key: result[key] for key in ("image_id", "category_id", "segmentation")}
        | {"id": number, "iscrowd": 0, "area": int(coco_mask.area(result["segmentation"])), "bbox": [0, 0, 0, 0]}
        for number, result in enumerate(found, start=1)
    ]
    write_json(
        path,
        {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": key, "name": name} for key, name in names],
        },
    )


def measure_export_parity(
    model: MobileInst, graph: Path, dataset: CocoDataset, annotations: Path | None, folder: Path
) -> ExportParity:
    """Predict with both, compare with each other and, if there is truth, with that.

    Args:
        model: the reference model; it sees the same pixels as the graph.
        graph: its graph of the whole network.
        dataset: the pictures.
        annotations: ground truth of the same pictures, or None.
        folder: takes the results files; resumed after a kill as every prediction is.

    Raises:
        NothingMeasuredError: if the reference model finds nothing at all.
        DataError: if the graph or a picture is absent.
        InputError: if the graph holds no whole network, or a picture is not what the annotations say.
    """
    exported = OnnxSegmenter(graph)
    size = exported.fixed_size
    reference = ReferenceSegmenter(model, model.config) if size is None else PaddedReference(model, size)
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs, truth = (folder / f"{name}.json" for name in ("reference", "graph", "reference_as_truth"))
    for segmenter, results in ((reference, ours), (exported, theirs)):
        segment_dataset(segmenter, dataset, results, by_position=True)
    _as_truth(dataset, ours, truth)
    scored = {path: score_coco(annotations, path).stats["AP"] if annotations else -1.0 for path in (ours, theirs)}
    return ExportParity(len(dataset.images), score_coco(truth, theirs).stats["AP"], scored[ours], scored[theirs])


def compare_on_pictures(model: MobileInst, graph: Path, annotations: Path, images: Path, limit: int) -> ExportParity:
    """Compare a model and its exported graph on the first pictures of a COCO file.

    Args:
        model: the reference model with its weights.
        graph: its graph of the whole network.
        annotations: COCO file; both are scored against its ground truth, if it has any.
        images: folder of the pictures.
        limit: how many of the pictures, from the start.

    Raises:
        InputError: if a file is not what it should be.
        DataError: if a file or picture is absent.
        NothingMeasuredError: if the reference model finds nothing in the pictures.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = _first_pictures(annotations, limit, folder / "pictures.json")
        dataset = CocoDataset.load(folder / "pictures.json", images)
        return measure_export_parity(model, graph, dataset, truth, folder)


def _first_pictures(annotations: Path, limit: int, path: Path) -> Path | None:
    """Write the annotations of the first pictures; return the file if it holds ground truth, else None."""
    whole = read_json(annotations, "annotations file")
    CocoDataset.load(annotations)  # Names whatever is wrong in the user's file, not in the part of it.
    write_json(path, part_of(whole, "image", {image["id"] for image in whole["images"][:limit]}))
    return None if whole.get("annotations") is None else path


def parity_measurements(
    parity: ExportParity, subject: Subject, protocol: Mapping[str, Scalar], dataset: Dataset
) -> list[Measurement]:
    """Return a comparison on annotated pictures as record lines.

    Args:
        parity: of a model and its graph.
        subject: the model.
        protocol: of the predictions.
        dataset: identity of the pictures.
    """
    fields: dict[str, Scalar] = {**protocol, "task": "coco", "runtime": "onnxruntime", "precision": "fp32"}
    values = {
        "export_agreement_ap": parity.agreement_ap,
        "export_mask_ap_change": parity.graph_ap - parity.reference_ap,
    }
    return [Measurement(metric, value, subject, fields, dataset) for metric, value in values.items()]

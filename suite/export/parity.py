"""What an export costs in AP: the exported graph and the reference model over the same pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reference_model.mobileinst import MobileInst
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.segmenter import ReferenceSegmenter, Segmenter
from suite.datasets.coco import CocoDataset
from suite.datasets.local_split import part_of
from suite.errors import NothingMeasuredError
from suite.export.mobileinst import OnnxSegmenter, PaddedReference
from suite.files import read_json, write_json
from suite.progress import say
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
    categories = [{"id": key, "name": name} for key, name in names]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def compare_engines(
    reference: Segmenter,
    graphs: Mapping[str, Segmenter],
    dataset: CocoDataset,
    truth: Path | None,
    folder: Path,
) -> dict[str, ExportParity]:
    """Predict with a model and with graphs of it; compare each graph with the model and, if there is truth, with that.

    Args:
        reference: the model; it sees the same pixels as the graphs.
        graphs: by a name that becomes a results file's.
        dataset: the pictures.
        truth: annotations of the same pictures, or None; not used where the classes are not its categories.
        folder: takes the results files; resumed after a kill as every prediction is.

    Raises:
        NothingMeasuredError: if the model finds nothing at all.
        DataError: if a picture is absent.
        InputError: if a picture is not what the annotations say.
    """

    def predicted(name: str, segmenter: Segmenter) -> tuple[Path, float]:
        results = folder / f"{name}.json"
        predict_dataset(segmenter, dataset, results, by_position=True)
        return results, score_coco(truth, results).stats["AP"] if truth else -1.0

    known = next((graph.categories for graph in graphs.values() if graph.categories is not None), None)
    same = reference.num_classes == len(dataset.categories) if known is None else known == dataset.categories
    if truth and not same:
        say(f"{reference.name}: its classes are not the categories of the annotations; no AP is taken against these")
        truth = None
    folder.mkdir(parents=True, exist_ok=True)
    ours, reference_ap = predicted("reference", reference)
    as_truth = folder / "reference_as_truth.json"
    _as_truth(dataset, ours, as_truth)
    compared = {}
    for name, graph in graphs.items():
        theirs, graph_ap = predicted(name, graph)
        agreement_ap = score_coco(as_truth, theirs).stats["AP"]
        compared[name] = ExportParity(len(dataset.images), agreement_ap, reference_ap, graph_ap)
    return compared


def measure_export_parity(
    model: MobileInst, graph: Path, dataset: CocoDataset, truth: Path | None, folder: Path
) -> ExportParity:
    """Compare a model with its ONNX graph of the whole network; arguments and errors as for `compare_engines`.

    Raises:
        DataError: if the graph is absent.
        InputError: if the graph holds no whole network.
    """
    exported = OnnxSegmenter(graph)
    size = exported.fixed_size
    reference = ReferenceSegmenter(model, model.config) if size is None else PaddedReference(model, size)
    return compare_engines(reference, {"graph": exported}, dataset, truth, folder)["graph"]


@contextmanager
def first_pictures(annotations: Path, images: Path, limit: int) -> Iterator[tuple[CocoDataset, Path | None, Path]]:
    """Give the first pictures of a COCO file, their annotations if it has any, and a folder that lasts as long.

    Raises:
        InputError: if a file is not what it should be.
        DataError: if a file is absent.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = read_json(annotations, "annotations file")
        CocoDataset.load(annotations)  # Names whatever is wrong in the user's file, not in the part of it.
        part = folder / "pictures.json"
        write_json(part, part_of(whole, "image", {image["id"] for image in whole["images"][:limit]}))
        yield CocoDataset.load(part, images), None if whole.get("annotations") is None else part, folder


def parity_measurements(
    parity: ExportParity, subject: Subject, protocol: Mapping[str, Scalar], dataset: Dataset
) -> list[Measurement]:
    """Return a comparison on annotated pictures as record lines, under the protocol of the predictions."""
    fields: dict[str, Scalar] = {**protocol, "task": "coco", "runtime": "onnxruntime", "precision": "fp32"}
    values = {
        "export_agreement_ap": parity.agreement_ap,
        "export_mask_ap_change": parity.graph_ap - parity.reference_ap,
    }
    return [Measurement(metric, value, subject, fields, dataset) for metric, value in values.items()]

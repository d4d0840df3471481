"""One checkpoint in every format: how well each segments, how long it takes on one core, how large it is."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from suite.accuracy.segmenter import Segmenter, open_checkpoint
from suite.deploy.exported import own_size
from suite.export.artifact import largest_difference, read_reference
from suite.export.exporter import PartGraph
from suite.export.kept import export_kept
from suite.export.mobileinst import PaddedReference, mobileinst_metadata, mobileinst_parts
from suite.export.parity import ExportParity, compare_engines, first_pictures
from suite.export.runtime import open_session, prepare_graph
from suite.files import file_digest
from suite.latency.device import Protocol
from suite.latency.host import measure_makers
from suite.latency.report import LatencyReport
from suite.latency.spans import TimedModel, build_candidates, network_inputs
from suite.latency.timer import Candidate, fresh_from
from suite.latency.timing import Labels
from suite.progress import say
from suite.text_table import TextColumn, text_table

TORCH = "torch"
FORMATS = {
    "ONNX straightforward": ("onnxruntime", "onnxruntime_cpu", "straightforward"),
    "ONNX rewritten": ("onnxruntime", "onnxruntime_cpu", "onnxruntime"),
    "ncnn": ("ncnn", "ncnn_cpu", "portable"),
    "LiteRT": ("litert_torch", "litert_cpu", "portable"),
    "ExecuTorch": ("executorch", "executorch_cpu", "portable"),
}
"""Formats beside torch: the package that each needs, the runtime that runs it, and the form of its ONNX graph."""


@dataclass(frozen=True)
class FormatRow:
    """One format of a checkpoint.

    Attributes:
        format: its name.
        file_mb: size of the file, or files, in 10^6 bytes.
        parity: largest difference of an output from torch's, over the output's largest magnitude; None for torch.
        latency_ms: median milliseconds of the network on one core; None where the timing is invalid.
        cpu_ratio: CPU time over torch's; None where either is invalid.
        invalid: the rules that the timing broke, or empty.
        mask_ap: in [0, 1]; None where no annotated pictures were given.
        agreement_ap: mask AP with torch's results for the truth; None for torch or without pictures.
    """

    format: str
    file_mb: float
    parity: float | None
    latency_ms: float | None
    cpu_ratio: float | None
    invalid: str
    mask_ap: float | None
    agreement_ap: float | None


@dataclass(frozen=True)
class Benchmark:
    """The formats of one checkpoint, and how they were timed."""

    rows: tuple[FormatRow, ...]
    report: LatencyReport
    pictures: int

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        rows = [asdict(row) for row in self.rows]
        return {"formats": rows, "pictures": self.pictures, "latency": self.report.to_json()}


def torch_candidates(checkpoint: Path, size: tuple[int, int], protocol: Protocol) -> list[Candidate]:
    """Return torch running the checkpoint's network on one thread; called in the measured process."""
    torch.set_num_threads(1)
    model, _ = open_checkpoint(checkpoint)

    def run(image: Any) -> object:
        with torch.inference_mode():
            return model(torch.from_numpy(image))

    images = network_inputs((1, 3, *size), 0, protocol.input_pool)
    engine = {"runtime": "torch", "version": str(torch.__version__)}
    return [Candidate(Labels(TORCH, "network", "torch", "fp32", *size), run, fresh_from(images), engine=engine)]


def benchmark(
    checkpoint: Path,
    size: tuple[int, int] | None,
    protocol: Protocol,
    core: int | None = None,
    pictures: tuple[Path, Path, int] | None = None,
) -> Benchmark:
    """Export a checkpoint to every installed format, time all in turns on one core, and score each on pictures.

    Args:
        checkpoint: weights of a MobileInst.
        size: (height_px, width_px) of the network's input; None: as the model's pictures are padded.
        protocol: how to time.
        core: the core to pin to; the idlest one if None.
        pictures: annotations, folder, and how many pictures from the start; None scores nothing.

    Raises:
        InputError: if a file is not what it should be, or the model cannot be exported at this size.
        DataError: if a file is absent.
        NothingMeasuredError: if the measured process crashed, or torch finds nothing in the pictures.
    """
    model, _ = open_checkpoint(checkpoint)
    size = size or own_size(model.config)
    parts, metadata = [mobileinst_parts(model.config)["whole"]], mobileinst_metadata(model.config)
    files: dict[str, Sequence[Path]] = {TORCH: [checkpoint]}
    parity: dict[str, float] = {}
    engines: dict[str, Segmenter] = {}
    makers = [functools.partial(torch_candidates, checkpoint, size, protocol)]
    for name, (package, runtime, form) in FORMATS.items():
        if importlib.util.find_spec(package) is None:
            say(f"{name} is left out: {package} is not installed (docs/deploy.md)")
            continue
        graph = export_kept(model.config.name, model, parts, size, form=form, metadata=metadata)["whole"]
        files[name] = prepare_graph(runtime, graph.path, PartGraph(model, parts[0]))
        inputs, outputs = read_reference(graph)
        session = open_session(runtime, graph.path)
        parity[name] = largest_difference(session.run(inputs), outputs)[1]
        engines[name] = PaddedReference(model, size, session)
        timed = TimedModel(name, {"whole": graph}, weights_sha256=file_digest(checkpoint), runtime=runtime)
        makers.append(functools.partial(build_candidates, timed, protocol))
    scored: dict[str, ExportParity] = {}
    if pictures:
        with first_pictures(*pictures) as (dataset, truth, folder):
            scored = compare_engines(PaddedReference(model, size), engines, dataset, truth, folder)
    say(f"timing {len(makers)} formats on one core")
    report = measure_makers(makers, protocol, core)
    rows = []
    for timing in report.results:
        name, ratio, valid = timing.labels.model, timing.ratio_cpu, timing.valid
        size_mb = sum(file.stat().st_size for file in files[name]) / 1e6
        own = scored.get(name)
        aps = [own.graph_ap] if own else [one.reference_ap for one in scored.values()]  # torch's are all the same
        row = FormatRow(
            format=name,
            file_mb=size_mb,
            parity=parity.get(name),
            latency_ms=timing.wall_median_ms if valid else None,
            cpu_ratio=ratio.value if ratio and valid and report.results[0].valid else None,
            invalid="" if valid else ", ".join(timing.broken_rules),
            mask_ap=aps[0] if aps and aps[0] >= 0 else None,
            agreement_ap=own.agreement_ap if own else None,
        )
        rows.append(row)
    return Benchmark(tuple(rows), report, next((one.pictures for one in scored.values()), 0))


def benchmark_table(found: Benchmark) -> str:
    """Return the formats as a table, and how they were timed."""
    titles = ("format", "MB", "parity", "AP", "AP as torch", "ms", "CPU / torch", "validity")
    columns = [TextColumn(title, number=0 < place < len(titles) - 1) for place, title in enumerate(titles)]

    def shown(value: float | None, form: str, scale: float = 1) -> str:
        return "" if value is None else format(scale * value, form)

    rows = [
        (
            row.format,
            shown(row.file_mb, ".2f"),
            shown(row.parity, ".0e"),
            shown(row.mask_ap, ".1f", 100),
            shown(row.agreement_ap, ".2f", 100),
            shown(row.latency_ms, ".4g"),
            shown(row.cpu_ratio, ".3f"),
            row.invalid or "valid",
        )
        for row in found.rows
    ]
    report = found.report
    first = report.results[0]
    lines = text_table(columns, rows)
    lines.append("")
    if found.pictures:
        lines.append(f"AP and AP as torch (torch's results taken for the truth) on {found.pictures} pictures")
    lines.append(
        f"network alone at {first.labels.height_px}x{first.labels.width_px}, fp32, one thread, core {report.core}, "
        f"{first.samples} samples each, interleaved"
    )
    lines.append(f"{report.machine.cpu}; times are this machine's, not another's")
    return "\n".join(lines)

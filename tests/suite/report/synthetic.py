"""Made-up runs, written through the public door of the records, for tests of the report only."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import msgspec

from suite.records.schema import Artifact, Dataset, Interval, Machine, Measurement, Run, Scalar, Series, Subject
from suite.records.store import writing

SHAPES = Dataset("shapes", "val", "a" * 32 + ".dir", True, images=240, videos=40)
TINY = "mobileinst_topformer_tiny_shapes"
BASE_512 = "mobileinst_topformer_base_512"
BASE_640 = "mobileinst_topformer_base_640"
WEIGHTS = "b" * 64
MACHINE = Machine("host", "Test CPU (family/model/stepping 6/1/1)", "x86_64", 2, 24.0, "Linux 6", ["avx2"])
SIZES = {TINY: (128, 192), BASE_512: (512, 864), BASE_640: (640, 864)}


@dataclasses.dataclass(frozen=True)
class RunMaker:
    """Writes runs into one folder; every run is a minute later than the one before."""

    folder: Path

    def run(self, name: str, **changes: Any) -> Run:
        """Return a run line, later than every run already in the folder."""
        minute = len(list(self.folder.glob("*.jsonl")))
        fields: dict[str, Any] = {
            "schema_version": 1,
            "run_id": f"20260101T00{minute:02d}00Z-{name}-{self.folder.name}-{minute:08x}",
            "started_utc": f"2026-01-01T00:{minute:02d}:00Z",
            "command": f"python -m suite {name}",
            "suite_version": "0.1.0",
            "git_sha": "c" * 40,
            "git_dirty": False,
            "machine": MACHINE,
            "packages": {"numpy": "2.4.6"},
            "seed": 0,
        }
        return msgspec.convert(fields | changes, Run)

    def write(self, run: Run, *lines: Measurement | Series | Artifact) -> Run:
        """Write a complete run of these lines."""
        with writing(run, self.folder) as writer:
            for line in lines:
                writer.add(line)
        return run

    def training(
        self, seed: int, mask_ap: float, query_passing: bool = True, dataset: Dataset = SHAPES, **changes: Any
    ) -> Run:
        """Write one training run on shapes: curve, mask AP, and video AP at T = 1, 3, 6."""
        run = self.run("reproduce", seed=seed, **changes)
        setting: dict[str, Scalar] = {
            "seed": seed,
            "iterations": 1800,
            "query_passing": query_passing,
            "recipe_digest": f"recipe-{query_passing}",
        }
        subject = Subject(TINY, WEIGHTS)
        lines: list[Measurement | Series] = []
        image = setting | {"task": "coco", "short_side_px": 128, "long_side_px": 192}
        for metric, factor in {"mask_ap": 1, "mask_ap50": 1.5, "mask_ap75": 1.05, "mask_ap_large": 1.2}.items():
            interval = Interval(mask_ap - 0.02, mask_ap + 0.02, 0.95, "image sampling only") if factor == 1 else None
            lines.append(Measurement(metric, mask_ap * factor, subject, image, dataset, interval))
        lines.append(Measurement("mask_ap_small", None, subject, image, dataset, reason="no ground truth of that size"))
        for frames in (1, 3, 6):
            video = setting | {"task": "youtube-vis", "key_frame_interval": frames, "association": True}
            value = mask_ap - 0.1 - 0.01 * frames
            for metric, factor in {"video_ap": 1.0, "video_ap50": 1.4, "video_ar1": 0.9}.items():
                lines.append(Measurement(metric, value * factor, subject, video, dataset))
        lines.append(Measurement("train_time_s", 300.0 + seed, subject, setting, dataset))
        columns = ["iteration", "loss", "loss_class", "loss_mask_bce", "loss_dice", "loss_objectness", "mask_ap"]
        rows: list[list[Scalar]] = [
            [step, 8 / step**0.2, 2.0, 1.0, 1.0, 0.5, mask_ap * step / 1800 if step % 450 == 0 else None]
            for step in range(30, 1801, 30)
        ]
        lines.append(Series("training_curve", subject, columns, rows, setting, dataset))
        return self.write(run, *lines)

    def latency(
        self,
        cpu_ms: dict[str, float],
        valid: bool = True,
        engine: str = "onnxruntime",
        device: str = "host",
        **changes: Any,
    ) -> Run:
        """Write one latency run: network, preprocess and postprocess spans of the models."""
        run = self.run("latency-host", **changes)
        lines: list[Measurement | Series] = []
        anchor = next(iter(cpu_ms))
        noise = random.Random(0)
        for model, median in cpu_ms.items():
            height, width = SIZES.get(model, (640, 864))
            for span, share in {"network": 1.0, "preprocess": 0.1, "postprocess": 0.2}.items():
                fields: dict[str, Scalar] = {
                    "span": span,
                    "runtime": engine if span == "network" else "torch",
                    "threads": 1,
                    "precision": "fp32",
                    "height_px": height,
                    "width_px": width,
                    "device": device,
                    "anchor": f"{anchor} network",
                    "samples": 20,
                    "valid": valid,
                }
                subject = Subject(model, WEIGHTS if model == TINY else None)
                reason = None if valid else "INVALID (core_taken_away: wall / CPU = 1.4)"
                values = {"latency_cpu_ms": 1.0, "latency_wall_ms": 1.02, "latency_p90_wall_ms": 1.1}
                for metric, factor in values.items():
                    value = median * share * factor if valid else None
                    lines.append(Measurement(metric, value, subject, fields, reason=reason))
                if not valid:
                    continue
                ratio = median / cpu_ms[anchor]
                if model != anchor and span == "network":
                    interval = Interval(ratio * 0.98, ratio * 1.02, 0.95, "timing noise", 2000)
                    lines.append(Measurement("latency_ratio_cpu", ratio, subject, fields, interval=interval))
                rows: list[list[Scalar]] = [
                    [number, place, span, median * share, median * share * noise.uniform(0.99, 1.01)]
                    for number in range(10)
                    for place in range(2)
                ]
                columns = ["round", "position", "span", "wall_ms", "cpu_ms"]
                lines.append(Series("latency_samples", subject, columns, rows, fields))
            for frames in (1, 3, 6) if model == TINY else ():
                for span, share in {"network": 1 - 0.01 * frames, "end_to_end": 1.2 - 0.02 * frames}.items():
                    fields = fields | {"span": span, "key_frame_interval": frames, "runtime": "onnxruntime"}
                    lines.append(Measurement("latency_cpu_ms", median * share, subject, fields))
        return self.write(run, *lines)

    def counts(self, model: str, parameters: int, macs: int) -> Run:
        """Write one count of a model at its size."""
        height, width = SIZES[model]
        fields: dict[str, Scalar] = {"height_px": height, "width_px": width}
        return self.write(
            self.run("counts"),
            Measurement("parameters", float(parameters), Subject(model), fields),
            Measurement("macs", float(macs), Subject(model), fields),
        )

    def everything(self) -> None:
        """Write what one main job with three seeds leaves behind."""
        for seed, value in enumerate((0.55, 0.57, 0.52)):
            self.training(seed, value)
        self.latency({BASE_640: 100.0, BASE_512: 80.0, TINY: 5.0})
        self.counts(TINY, 2_050_000, 300_000_000)
        self.counts(BASE_640, 9_000_000, 13_000_000_000)
        self.counts(BASE_512, 9_000_000, 10_000_000_000)

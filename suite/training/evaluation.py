"""Scores and pictures while training: the accuracy harness on a part of the held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reference_model.config import ModelConfig
from reference_model.mobileinst import MobileInst
from reference_model.weights import save_checkpoint
from suite.accuracy.mask_ap import score_coco
from suite.accuracy.predict import predict_dataset
from suite.accuracy.segmenter import PredictionProtocol, ReferenceSegmenter
from suite.accuracy.video_ap import score_youtube_vis
from suite.datasets.categories import METADATA_KEY, Categories
from suite.datasets.coco import CocoDataset
from suite.datasets.local_split import Unit, part_of
from suite.datasets.youtube_vis import YoutubeVisDataset
from suite.distributed import Processes
from suite.drawing.detections import draw_detections
from suite.drawing.tracks import draw_track_strip, show_video
from suite.files import atomic_path, disk_faults, read_json, write_json
from suite.progress import say
from suite.training.data.batches import FileSource
from suite.training.recipe import Recipe
from suite.training.state import Progress


@dataclass
class Evaluation:
    """Mask AP on images, or video AP at T = 1 on videos, that the model is not trained on.

    Attributes:
        dataset: the images or videos with their folder.
        results: the results file, written anew each time.
        categories: what the classes of the model stand for.
        protocol: input size and thresholds; None: the variant's own.
        cautioned: whether what stands against the AP was said.
    """

    dataset: CocoDataset | YoutubeVisDataset
    results: Path
    categories: Categories
    protocol: PredictionProtocol | None = None
    cautioned: bool = False

    @classmethod
    def of(cls, source: FileSource, folder: Path) -> Evaluation | None:
        """Return the evaluation on the images or videos that a recipe asks for, or None where nothing can be scored.

        They are evenly spread over what the source names; ``folder`` takes their annotations and results.
        NothingMeasuredError if none of them has an object that is scored.
        """
        scored = source.scored
        if scored is None:
            return None
        unit: Unit = "image" if scored.task == "coco" else "video"
        kind = CocoDataset if scored.task == "coco" else YoutubeVisDataset
        whole = read_json(scored.annotations, "annotations file")
        among = scored.part.video_ids if scored.part else None
        ids = [item["id"] for item in whole[f"{unit}s"] if among is None or item["id"] in among]
        count = min(source.recipe.evaluation_images, len(ids))
        subset, results = (folder / f"evaluation_{name}.json" for name in ("annotations", "results"))
        write_json(subset, part_of(whole, unit, {ids[place * len(ids) // count] for place in range(count)}))
        return cls(kind.load(subset, scored.images).require_scored(), results, source.categories)

    @property
    def metric(self) -> str:
        """``"mask_ap"`` or ``"video_ap"``."""
        return "mask_ap" if isinstance(self.dataset, CocoDataset) else "video_ap"

    @property
    def metadata(self) -> dict[str, str]:
        """What a checkpoint must say so that it predicts the same categories."""
        return {METADATA_KEY: self.categories.text()}

    def predict(self, model: MobileInst, config: ModelConfig) -> None:
        """Write the results file of a model in evaluation mode; every process calls it and does its part."""
        segmenter = ReferenceSegmenter(model, config, self.protocol, self.categories)
        caution = predict_dataset(segmenter, self.dataset, self.results, quiet=True)
        if caution and not self.cautioned:
            self.cautioned = True
            say(f"caution: {caution}")

    def score(self) -> float:
        """Return the AP of the last prediction, in [0, 1]; process 0 calls it."""
        score = score_coco if isinstance(self.dataset, CocoDataset) else score_youtube_vis
        return score(self.dataset.path, self.results).stats["AP"]

    def draw(self, picture: Path) -> None:
        """Draw the last prediction on a few images or one video, the ground truth above it."""
        if isinstance(self.dataset, CocoDataset):
            draw_detections(self.dataset, self.results, picture)
        else:
            draw_track_strip(show_video(self.dataset, self.results), picture)


class Scoring:
    """Evaluates at the iterations that a recipe says.

    Args:
        recipe: gives their number.
        evaluation: what is predicted and scored; None: nothing ever.
        folder: of the run, for pictures and the best checkpoint.
        processes: all of them predict, process 0 scores.
        model: whose weights are evaluated: the trained or the averaged one.
    """

    def __init__(
        self, recipe: Recipe, evaluation: Evaluation | None, folder: Path, processes: Processes, model: MobileInst
    ) -> None:
        self.evaluation, self.folder, self.processes, self.model = evaluation, folder, processes, model
        count, total = recipe.evaluations, recipe.iterations
        self.at = {round(total * (n + 1) / count) for n in range(count)} if evaluation else set()

    def __call__(self, done: int, progress: Progress) -> float:
        """Predict, draw and score after an iteration; returns the score in every process."""
        assert self.evaluation is not None
        training = self.model.training
        self.model.eval()
        # Processes with their own batch statistics predict with those of process 0.
        self.processes.copy_model(self.model)
        self.evaluation.predict(self.model, self.model.config)
        if self.processes.first:
            picture = self.folder / "pictures" / f"iteration-{done:08d}.png"
            with disk_faults(str(picture)):
                self.evaluation.draw(picture)
        score = self.processes.share(self.evaluation.score() if self.processes.first else 0.0)
        if progress.best is None or score > progress.best:
            progress.best = score
            if self.processes.first and len(self.at) > 1:
                path = self.folder / "best.safetensors"
                with atomic_path(path) as temporary:
                    metadata = {"iteration": str(done)} | self.evaluation.metadata
                    save_checkpoint(temporary, self.model, self.model.config, metadata)
        self.model.train(training)
        return score

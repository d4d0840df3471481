"""How predictions are made: every choice that can change a results file, kept with the number."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from reference_model.config import ModelConfig
from suite.records.schema import Scalar


@dataclass(frozen=True)
class PredictionProtocol:
    """Batch 1, aspect ratio kept, padded right and bottom.

    Attributes:
        short_side_px: the shorter side is resized to this ...
        long_side_px: ... unless the longer one would exceed this.
        size_divisor_px: padding multiple.
        score_threshold: queries below it are dropped.
        mask_threshold: probability above which a pixel belongs to the mask.
        max_detections: at most this many instances of an image.
        max_tracks: at most this many (query, class) pairs of a video.
        key_frame_interval: kernel-reuse length T, for videos.
        association: whether queries of key frames are associated, for videos.
        associate_on: the rule of association; in records where it is not the paper's ``"kernels"``.
        score_maskness: whether a track's score is multiplied by its masks' mean foreground probability.
        as_sparseinst: masks are interpolated as probabilities, padding counts in scores; in records where on.
    """

    short_side_px: int
    long_side_px: int
    size_divisor_px: int
    score_threshold: float = 0.005
    mask_threshold: float = 0.45
    max_detections: int = 100
    max_tracks: int = 10
    key_frame_interval: int = 1
    association: bool = True
    associate_on: str = "kernels"
    score_maskness: bool = True
    as_sparseinst: bool = False

    @classmethod
    def of(cls, config: ModelConfig) -> PredictionProtocol:
        """Return the protocol of a variant: its own input size, the default thresholds."""
        return cls(config.short_side_px, config.long_side_px, config.size_divisor_px)

    def scalars(self, task: str) -> dict[str, Scalar]:
        """Return the fields that matter to a task (``"coco"`` or ``"youtube-vis"``), for a record's protocol."""
        video = {"max_tracks", "key_frame_interval", "association", "associate_on", "score_maskness"}
        unused = {"max_detections"} if task == "youtube-vis" else video
        unused |= {"associate_on"} if self.associate_on == "kernels" else set()
        unused |= set() if self.as_sparseinst else {"as_sparseinst"}
        return {"task": task, **{name: value for name, value in asdict(self).items() if name not in unused}}

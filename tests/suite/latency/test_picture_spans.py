"""What the spans outside the network say that they are the times of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from reference_model.config import VARIANTS, config_to_dict
from suite.latency.job import Labels
from suite.latency.picture_spans import PictureSpans

TINY = "mobileinst_topformer_tiny_shapes"


def test_preprocessing_is_labelled_with_the_size_that_it_makes_and_not_with_the_network_s() -> None:
    def labels(span: str, size: tuple[int, int], interval: int | None = None, runtime: str = "none") -> Labels:
        return Labels(TINY, span, runtime, "fp32", *size, None, interval)

    elsewhere: Any = SimpleNamespace(size=lambda part: (64, 96))  # the network is timed at another --size
    made = PictureSpans(elsewhere, labels, config_to_dict(VARIANTS[TINY]), [], seed=0, pool=1, clip_frames=6)
    (timed,) = made.candidates("preprocess", ())
    image, _ = timed.candidate.run(timed.candidate.fresh_input(0))
    assert (timed.labels.height_px, timed.labels.width_px) == tuple(image.shape[-2:]) == (128, 192)

"""What the spans outside the network say that they are the times of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from reference_model.config import VARIANTS, config_to_dict
from suite.latency.spans import PictureSpans
from suite.latency.timed_model import TimedModel

TINY = "mobileinst_topformer_tiny_shapes"


def test_preprocessing_is_labelled_with_the_size_that_it_makes_and_not_with_the_network_s() -> None:
    model = TimedModel(TINY, {}, spans=(), config=config_to_dict(VARIANTS[TINY]))
    elsewhere: Any = SimpleNamespace(sessions={}, size=lambda part: (64, 96))  # the network is timed at another --size
    candidate = PictureSpans(model, elsewhere, pool=1).preprocess()
    image, _ = candidate.run(candidate.fresh_input(0))
    assert (candidate.labels.height_px, candidate.labels.width_px) == tuple(image.shape[-2:]) == (128, 192)

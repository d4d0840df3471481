from __future__ import annotations

import torch

from reference_model.mobileinst import MobileInst
from suite.reproduce.held_out import remembering
from suite.training.recipe import load_recipe


def test_a_model_that_remembers_answers_alike_and_encodes_no_frame_twice(monkeypatch) -> None:
    model, runs = MobileInst(load_recipe("shapes").config()).eval(), list[int]()
    frames = [torch.full((1, 3, 64, 96), value) for value in (0.0, 1.0, 0.0)]
    encode, other = model.encode, remembering(model)
    monkeypatch.setattr(model, "encode", lambda images: runs.append(1) or encode(images))
    assert all(torch.equal(other(frame).mask_logits, model(frame).mask_logits) for frame in frames)
    assert len(runs) == 2 + len(frames)

"""The cells and trends of the ablation; needs no torch, so that the report can name what was not run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suite.reproduce.video_settings import TRAIT_METRICS
from suite.training.recipe import Recipe, load_recipe

RECIPE = "shapes_ablation"
DATASET = "shapes"
EXPERIMENT = "ablation"
"""Protocol entry ``experiment`` of every number of the ablation, so that no other table takes it for its own."""
DEFAULT_CELL = "default"


@dataclass(frozen=True)
class AblationCell:
    """One setting of the ablation.

    Attributes:
        name: what the command line calls it.
        title: what tables call it.
        query_passing: replaces the recipe's choice; None keeps it.
        model_options: replaces fields of the variant's configuration.
        compared_with: the cell that differs from it in one choice only; empty for the default.
    """

    name: str
    title: str
    query_passing: bool | None = None
    model_options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    compared_with: str = DEFAULT_CELL

    def recipe(self, iterations: int | None = None) -> Recipe:
        """Return what this cell trains.

        Args:
            iterations: replaces the recipe's number; None keeps it.
        """
        return load_recipe(
            RECIPE,
            iterations=iterations,
            query_passing=self.query_passing,
            model_options=dict(self.model_options) or None,
        )


NO_QUERY_PASSING = "no_query_passing"
CELLS = (
    AblationCell(DEFAULT_CELL, "default: global-local decoder, max pooling, query passing", compared_with=""),
    AblationCell(NO_QUERY_PASSING, "without query passing", query_passing=False),
    AblationCell("average_pooling", "average pooling", model_options={"local_pooling": "average"}),
    AblationCell("local_local", "local-local decoder", model_options={"decoder": "local_local"}),
    # One decoder has nothing to pass queries on to, so its neighbour is the cell that passes none either.
    AblationCell(
        "single_global",
        "single global decoder, without query passing",
        query_passing=False,
        model_options={"decoder": "single_global"},
        compared_with=NO_QUERY_PASSING,
    ),
    AblationCell(
        "single_local",
        "single local decoder, without query passing",
        query_passing=False,
        model_options={"decoder": "single_local"},
        compared_with=NO_QUERY_PASSING,
    ),
)


@dataclass(frozen=True)
class Trial:
    """One column of one cell: what was scored.

    Attributes:
        cell: name of the cell.
        key_frame_interval: T; None for images.
        association: whether kernels were associated between key frames.
        trait: only the videos with it are scored (see `suite.datasets.video_traits`); empty for all.
    """

    cell: str
    key_frame_interval: int | None = None
    association: bool = True
    trait: str = ""

    @property
    def metric(self) -> str:
        """The records' metric."""
        if self.key_frame_interval is None:
            return "mask_ap"
        return TRAIT_METRICS[self.trait] if self.trait else "video_ap"


@dataclass(frozen=True)
class Trend:
    """A difference between two trials that differ in one choice.

    Attributes:
        name: e.g. ``"max pooling over average pooling"``.
        better: the trial that the paper's reasoning favours.
        worse: the other one.
        claim_id: the published gain, where the paper prints one.
    """

    name: str
    better: Trial
    worse: Trial
    claim_id: str = ""


TRENDS = (
    Trend(
        "query passing over none",
        Trial(DEFAULT_CELL, 1),
        Trial(NO_QUERY_PASSING, 1),
        "trend/query-passing-helps-video-ap",
    ),
    Trend(
        "max pooling over average pooling",
        Trial(DEFAULT_CELL),
        Trial("average_pooling"),
        "trend/max-pooling-beats-average",
    ),
    Trend("global-local decoder over local-local", Trial(DEFAULT_CELL), Trial("local_local")),
    Trend(
        "global-local decoder over a single global one, both without query passing",
        Trial(NO_QUERY_PASSING),
        Trial("single_global"),
    ),
    Trend(
        "global-local decoder over a single local one, both without query passing",
        Trial(NO_QUERY_PASSING),
        Trial("single_local"),
    ),
    Trend("new kernels on every frame over T = 3", Trial(DEFAULT_CELL, 1), Trial(DEFAULT_CELL, 3)),
    Trend("new kernels on every frame over T = 6", Trial(DEFAULT_CELL, 1), Trial(DEFAULT_CELL, 6)),
    Trend("kernel association over none at T = 1", Trial(DEFAULT_CELL, 1), Trial(DEFAULT_CELL, 1, association=False)),
)

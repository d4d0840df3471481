"""The ablation: its cells and trends, which records are which trial, and what each trend came to in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from suite.datasets.video_traits import TRAITS
from suite.records.difference import Difference, Number, difference
from suite.records.schema import METRICS, Scalar
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.models import OPTIONS
from suite.report.numbers import published_text

DATASET = "shapes"
EXPERIMENT = "ablation"
"""Protocol entry ``experiment`` of every number of the ablation, so that no other table takes it for its own."""
KEY_FRAME_INTERVALS = (1, 3, 6)
TRAIT_METRICS = {trait: f"video_ap_{trait}" for trait in TRAITS}
"""Trait of a video -> metric of the video AP over the videos that have it."""
TRAIT_OF = {metric: trait for trait, metric in TRAIT_METRICS.items()}
MIN_SEEDS = 3
"""Fewer paired seeds decide nothing."""
STANDARD_ERRORS = 2.0
"""A gain counts where its mean is further from zero than this many standard errors over seeds."""


@dataclass(frozen=True)
class AblationCell:
    """One setting of the ablation.

    Attributes:
        name: what the command line calls it.
        title: what tables call it.
        query_passing: replaces the recipe's choice; None leaves it.
        model_options: replaces fields of the variant's configuration.
        compared_with: the cell that differs from it in one choice only; empty for the default.
    """

    name: str
    title: str
    query_passing: bool | None = None
    model_options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    compared_with: str = "default"

    def made(self, cell: Cell) -> bool:
        """Tell whether a measured cell was trained with this setting."""
        options = {key: value for key, value in cell.protocol if key in OPTIONS}
        passing = cell.get("query_passing") is not False
        return options == dict(self.model_options) and passing == (self.query_passing is not False)


DEFAULT_CELL = "default"
NO_QUERY_PASSING = "no_query_passing"
CELLS = (
    AblationCell(DEFAULT_CELL, "default: global-local decoder, max pooling, query passing", compared_with=""),
    AblationCell("pairs_only", "pairs of frames, passed loss 0", model_options={"loss_weight_query_passing": 0.0}),
    AblationCell(NO_QUERY_PASSING, "without query passing: single frames throughout", query_passing=False),
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
        caution: what else the two differ in; with one, the claim stays undecided.
    """

    name: str
    better: Trial
    worse: Trial
    claim_id: str = ""
    caution: str = ""


TRENDS = (
    Trend(
        "query passing over the same pairs of frames without its loss",
        Trial(DEFAULT_CELL, 1),
        Trial("pairs_only", 1),
        "trend/query-passing-helps-video-ap",
    ),
    Trend(
        "query passing over single frames",
        Trial(DEFAULT_CELL, 1),
        Trial(NO_QUERY_PASSING, 1),
        "trend/query-passing-helps-video-ap",
        "only one of the cells sees pairs, so half as many videos a step; the control, pairs_only, decides",
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


@dataclass(frozen=True)
class AblationScores:
    """The measured trials of one ablation: one number of iterations, one version of the data.

    Attributes:
        iterations: training length of every cell; None where nothing was run.
        found: trial -> the report's cell over all its seeds; absent where nothing was run.
    """

    iterations: int | None
    found: dict[Trial, Cell]

    def gain(self, better: Trial, worse: Trial) -> Difference | None:
        """Return the gain of one trial over another in AP points, paired by seed; None where they share no seed."""
        if better not in self.found or worse not in self.found:
            return None
        pair = (self.found[worse], self.found[better])
        theirs, ours = ([Number(100 * item.value, item.seed) for item in cell.samples] for cell in pair)
        gain = difference(theirs, ours, higher_is_better=True, reach=STANDARD_ERRORS)
        return gain if gain.by_seed else None


def ablation_scores(evidence: Evidence) -> AblationScores:
    """Find the ablation with the most trained cells and seeds among the records; of equals the longest training.

    Of several recipes of one cell the newest counts.
    """
    wanted: dict[str, Scalar] = {"experiment": EXPERIMENT}
    by_length: dict[int, dict[Trial, Cell]] = {}
    for metric in ("mask_ap", "video_ap", *TRAIT_METRICS.values()):
        for cell in evidence.find(metric, protocol=wanted, dataset=DATASET):
            iterations, interval = cell.get("iterations"), cell.get("key_frame_interval")
            name = next((item.name for item in CELLS if item.made(cell)), None)
            if name is not None and isinstance(iterations, int) and cell.dataset is not None and cell.dataset.pinned:
                length = interval if isinstance(interval, int) else None
                trial = Trial(name, length, cell.get("association") is not False, TRAIT_OF.get(metric, ""))
                by_length.setdefault(iterations, {})[trial] = cell

    def coverage(iterations: int) -> tuple[int, int]:
        found = by_length[iterations]
        return sum(len(cell.samples) for trial, cell in found.items() if trial.metric == "mask_ap"), iterations

    chosen = max(by_length, key=coverage, default=None)
    if chosen is None:
        return AblationScores(None, {})
    found = by_length[chosen]
    newest = max(found.values(), key=lambda cell: (cell.latest.started_utc, cell.latest.run_id))
    return AblationScores(chosen, {trial: cell for trial, cell in found.items() if _digest(cell) == _digest(newest)})


def _digest(cell: Cell) -> str:
    return cell.dataset.digest if cell.dataset else ""


def described(gain: Difference | None) -> str:
    """Say what the paired differences show, no more."""
    if gain is None:
        return "not run"
    values = sorted(gain.by_seed.values())
    if not any(values):
        return f"exactly equal scores in every one of {len(values)} seeds: not one link between frames changed"
    seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    measured = f"{gain.value:+.1f} points, mean of {seeds}, single seeds {values[0]:+.1f} to {values[-1]:+.1f}"
    if len(values) < MIN_SEEDS or gain.standard_error is None:
        return f"{measured}; fewer than {MIN_SEEDS} paired seeds, so nothing is concluded"
    error = f"two standard errors over seeds ({STANDARD_ERRORS * gain.standard_error:.1f})"
    if gain.word == "better":
        return f"{measured}; the gain exceeds {error}: the trend shows at this scale"
    if gain.word == "worse":
        return f"{measured}; the loss exceeds {error}: at this scale the trend is reversed"
    return f"{measured}; within {error}: it drowns in seed noise"


def deciding_trend(claim_id: str, scores: AblationScores) -> Trend:
    """Return the trend that a claim is judged by: the first of its trends with enough seeds, else its first."""
    trends = [trend for trend in TRENDS if trend.claim_id == claim_id]
    gains = [(trend, scores.gain(trend.better, trend.worse)) for trend in trends]
    return next((trend for trend, gain in gains if gain and len(gain.by_seed) >= MIN_SEEDS), trends[0])


def trend_sentence(evidence: Evidence, scores: AblationScores, trend: Trend) -> str:
    """Return one sentence: what differs, by how much, whether that exceeds the seed spread, what the paper found."""
    gain = described(scores.gain(trend.better, trend.worse))
    text = f"{trend.name[0].upper()}{trend.name[1:]}, {METRICS[trend.better.metric].label}: {gain}"
    claim = evidence.claim(trend.claim_id) if trend.claim_id else None
    text += f"; undecided: {trend.caution}" if trend.caution else ""
    return text + (f" (the paper: {published_text(claim)} on {claim.dataset.split()[0]})" if claim else "") + "."

"""The ablation of `ablation.toml`: which records are which trial, and what each trend came to in one sentence."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import msgspec

from suite.datasets.video_traits import TRAITS
from suite.records.difference import Difference, Number, difference
from suite.records.schema import METRICS, Scalar
from suite.report.cells import Cell
from suite.report.evidence import Evidence
from suite.report.models import OPTIONS
from suite.report.numbers import published_text
from suite.report.rules import rules
from suite.typed import read_typed

DATASET = "shapes"
EXPERIMENT = "ablation"
"""Protocol entry ``experiment`` of every number of the ablation, so that no other table takes it for its own."""
DEFAULT_CELL = "default"
KEY_FRAME_INTERVALS = (1, 3, 6)
TRAIT_METRICS = {trait: f"video_ap_{trait}" for trait in TRAITS}
"""Trait of a video -> metric of the video AP over the videos that have it."""
TRAIT_OF = {metric: trait for trait, metric in TRAIT_METRICS.items()}


class AblationCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
    model_options: dict[str, bool | int | float | str] = {}
    compared_with: str = DEFAULT_CELL

    def made(self, cell: Cell) -> bool:
        """Tell whether a measured cell was trained with this setting."""
        options = {key: value for key, value in cell.protocol if key in OPTIONS}
        passing = cell.get("query_passing") is not False
        return options == self.model_options and passing == (self.query_passing is not False)


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


class Trend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


class _Ablation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cell: tuple[AblationCell, ...]
    trend: tuple[Trend, ...]


_DEFINED = read_typed(Path(__file__).with_suffix(".toml"), _Ablation, "ablation", "restore it from version control")
CELLS, TRENDS = _DEFINED.cell, _DEFINED.trend


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
        gain = difference(theirs, ours, higher_is_better=True, reach=rules().trend.standard_errors)
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
    rule = rules().trend
    if len(values) < rule.min_seeds or gain.standard_error is None:
        return f"{measured}; fewer than {rule.min_seeds} paired seeds, so nothing is concluded"
    error = f"two standard errors over seeds ({rule.standard_errors * gain.standard_error:.1f})"
    if gain.word == "better":
        return f"{measured}; the gain exceeds {error}: the trend shows at this scale"
    if gain.word == "worse":
        return f"{measured}; the loss exceeds {error}: at this scale the trend is reversed"
    return f"{measured}; within {error}: it drowns in seed noise"


def power(gain: Difference) -> str:
    """Say which gain the seeds of a trend would have shown with the rule's chance, so that a null result has a size."""
    rule = rules().trend
    reach = rule.standard_errors + statistics.NormalDist().inv_cdf(rule.power)
    return f"a gain of {reach * (gain.standard_error or 0):.1f} would have shown with a chance of {rule.power:.0%}"


def deciding_trend(claim_id: str, scores: AblationScores) -> Trend:
    """Return the trend that a claim is judged by: the first of its trends with enough seeds, else its first."""
    trends = [trend for trend in TRENDS if trend.claim_id == claim_id]
    gains = [(trend, scores.gain(trend.better, trend.worse)) for trend in trends]
    enough = rules().trend.min_seeds
    return next((trend for trend, gain in gains if gain and len(gain.by_seed) >= enough), trends[0])


def trend_sentence(evidence: Evidence, scores: AblationScores, trend: Trend) -> str:
    """Return one sentence: what differs, by how much, whether that exceeds the seed spread, what the paper found."""
    gain = described(scores.gain(trend.better, trend.worse))
    text = f"{trend.name[0].upper()}{trend.name[1:]}, {METRICS[trend.better.metric].label}: {gain}"
    claim = evidence.claim(trend.claim_id) if trend.claim_id else None
    text += f"; undecided: {trend.caution}" if trend.caution else ""
    return text + (f" (the paper: {published_text(claim)} on {claim.dataset.split()[0]})" if claim else "") + "."

"""The ablation of `ablation.toml`: which records are which trial, and what each trend came to."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import NamedTuple

import msgspec

from reference_model.config import ModelConfig
from suite.datasets.video_traits import TRAITS
from suite.records.cells import Cell
from suite.records.difference import Difference, Number, difference
from suite.records.schema import METRICS
from suite.report.evidence import Evidence
from suite.report.rules import RULES
from suite.typed import read_typed

DATASET = "shapes"
EXPERIMENT = "ablation"
"""Protocol entry ``experiment`` of every number of the ablation, so that no other table takes it for its own."""
DEFAULT_CELL = "default"
KEY_FRAME_INTERVALS = (1, 3, 6)
TRAIT_METRICS = {trait: f"video_ap_{trait}" for trait in TRAITS}
"""Trait of a video -> metric of the video AP over the videos that have it."""
INPUT_FIELDS = frozenset({"name", "num_classes", "short_side_px", "long_side_px", "size_divisor_px"})
"""Fields of a configuration that follow from the data and the input; all others are options of the model."""
OPTIONS = frozenset(field.name for field in dataclasses.fields(ModelConfig)) - INPUT_FIELDS


class AblationCell(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One setting of the ablation, called ``name`` by the command line and ``title`` by tables.

    ``query_passing`` replaces the recipe's choice (None leaves it), ``model_options`` fields of the variant's
    configuration; ``compared_with`` is the cell that differs from it in one choice only, empty for the default.
    """

    name: str
    title: str
    query_passing: bool | None = None
    model_options: dict[str, bool | int | float | str] = {}
    compared_with: str = DEFAULT_CELL

    def made(self, cell: Cell) -> bool:
        """Tell whether a measured cell was trained with this setting."""
        options = {key: value for key, value in cell.protocol.items() if key in OPTIONS}
        passing = cell.get("query_passing") is not False
        return options == self.model_options and passing == (self.query_passing is not False)


class Trial(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was scored of a cell: images, or videos at T (``key_frame_interval``), with or without association.

    With a ``trait`` only the videos that have it are scored (see `suite.datasets.video_traits`).
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
    """A difference of two trials, of which the paper's reasoning favours ``better``.

    ``claim_id`` is the published gain, where the paper prints one; with a ``caution``, which says what else the two
    differ in, it stays undecided.
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


class AblationScores(NamedTuple):
    """The measured trials of one ablation: one number of iterations (None where nothing was run), one version of data.

    ``found`` has the report's cell, over all seeds, of each trial that was run.
    """

    iterations: int | None
    found: dict[Trial, Cell]

    def gain(self, better: Trial, worse: Trial) -> Difference | None:
        """Return the gain of one trial over another in AP points, paired by seed; None where they share no seed."""
        if better not in self.found or worse not in self.found:
            return None
        pair = (self.found[worse], self.found[better])
        theirs, ours = ([Number(100 * item.value, item.seed) for item in cell.samples] for cell in pair)
        gain = difference(theirs, ours, higher_is_better=True, reach=RULES.trend.standard_errors)
        return gain if gain.by_seed else None

    def runs(self, better: Trial, worse: Trial) -> tuple[str, ...]:
        """Return the runs behind a gain."""
        return tuple(dict.fromkeys((*self.found[better].run_ids, *self.found[worse].run_ids)))


def ablation_scores(evidence: Evidence) -> AblationScores:
    """Find the ablation with the most trained cells and seeds among the records; of equals the longest training.

    Of several recipes of one cell the newest counts.
    """
    by_length: dict[int, dict[Trial, Cell]] = {}
    metrics = {"mask_ap": "", "video_ap": "", **{metric: trait for trait, metric in TRAIT_METRICS.items()}}
    for metric, trait in metrics.items():
        for cell in evidence.find(metric, protocol={"experiment": EXPERIMENT}, dataset=DATASET):
            iterations = cell.get("iterations")
            name = next((item.name for item in CELLS if item.made(cell)), None)
            if name is not None and isinstance(iterations, int) and cell.dataset and cell.dataset.pinned:
                trial = Trial(name, cell.frames or None, cell.get("association") is not False, trait)
                by_length.setdefault(iterations, {})[trial] = cell

    def coverage(iterations: int) -> tuple[int, int]:
        found = by_length[iterations]
        return sum(len(cell.samples) for trial, cell in found.items() if trial.metric == "mask_ap"), iterations

    if not by_length:
        return AblationScores(None, {})
    chosen = max(by_length, key=coverage)
    found = by_length[chosen]
    newest = max(found.values(), key=lambda cell: (cell.latest.started_utc, cell.latest.run_id))
    same = {trial: cell for trial, cell in found.items() if cell.data_digest == newest.data_digest}
    return AblationScores(chosen, same)


def described(gain: Difference | None) -> str:
    """Say what the paired differences show, no more."""
    if gain is None:
        return "not run"
    values = sorted(gain.by_seed.values())
    if not any(values):
        return f"exactly equal scores in every one of {len(values)} seeds: not one link between frames changed"
    seeds = f"{len(values)} seed{'s' if len(values) > 1 else ''}"
    measured = f"{gain.value:+z.1f} points, mean of {seeds}, single seeds {values[0]:+z.1f} to {values[-1]:+z.1f}"
    rule = RULES.trend
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
    rule = RULES.trend
    reach = rule.standard_errors + statistics.NormalDist().inv_cdf(rule.power)
    return f"a gain of {reach * (gain.standard_error or 0):.1f} would have shown with a chance of {rule.power:.0%}"


def deciding_trend(claim_id: str, scores: AblationScores) -> Trend:
    """Return the trend that a claim is judged by: the first of its trends with enough seeds, else its first."""
    trends = [trend for trend in TRENDS if trend.claim_id == claim_id]
    gains = [(trend, scores.gain(trend.better, trend.worse)) for trend in trends]
    return next((trend for trend, gain in gains if gain and len(gain.by_seed) >= RULES.trend.min_seeds), trends[0])


def trend_sentence(evidence: Evidence, scores: AblationScores, trend: Trend) -> str:
    """Return one sentence: what differs, by how much, whether that exceeds the seed spread, what the paper found."""
    gain, claim = described(scores.gain(trend.better, trend.worse)), evidence.claims.get(trend.claim_id)
    caution = f"; undecided: {trend.caution}" if trend.caution else ""
    paper = f" (the paper: {claim.printed} on {claim.dataset.split()[0]})" if claim else ""
    return f"{trend.name[0].upper()}{trend.name[1:]}, {METRICS[trend.better.metric].label}: {gain}{caution}{paper}."

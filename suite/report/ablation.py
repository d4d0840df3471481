"""The ablation's records: which cell of the report is which trial, and what each trend came to, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from suite.records.difference import Difference, Number, difference
from suite.records.schema import METRICS
from suite.report.evidence import Evidence
from suite.report.labels import published_text
from suite.report.select import Cell
from suite.reproduce.ablation_cells import CELLS, DATASET, EXPERIMENT, RECIPE, Trend, Trial
from suite.reproduce.video_settings import TRAIT_METRICS
from suite.training.recipe import load_recipe

MIN_SEEDS = 3
"""Fewer paired seeds decide nothing."""
STANDARD_ERRORS = 2.0
"""A gain counts where its mean is further from zero than this many standard errors over seeds."""
TRAIT_OF = {metric: trait for trait, metric in TRAIT_METRICS.items()}


def paired_gain(first: Cell, second: Cell) -> Difference | None:
    """Return how much the first AP cell gains over the second, in AP points over the seeds that both have, or None."""
    ours, theirs = ([Number(100 * item.value, item.seed) for item in cell.samples] for cell in (first, second))
    gain = difference(theirs, ours, higher_is_better=True, reach=STANDARD_ERRORS)
    return gain if gain.by_seed else None


def _digests(iterations: int) -> dict[str, str]:
    """Return cell name -> digest that its records name, for a number of iterations."""
    return {cell.name: cell.recipe(iterations).digest()[:16] for cell in CELLS}


def _trained_cells(evidence: Evidence) -> list[Cell]:
    """Return the ablation's AP cells on the pinned embedded set, newest last."""
    metrics = ("mask_ap", "video_ap", *TRAIT_METRICS.values())
    wanted = {"experiment": EXPERIMENT}
    cells = [cell for metric in metrics for cell in evidence.find(metric, protocol=wanted, dataset=DATASET)]
    return [cell for cell in cells if cell.dataset is not None and cell.dataset.pinned]


@dataclass(frozen=True)
class AblationScores:
    """The measured trials of one ablation: one recipe, one number of iterations, one version of the data.

    Attributes:
        iterations: training length of every cell.
        found: trial -> the report's cell over all its seeds; absent where nothing was run.
    """

    iterations: int
    found: dict[Trial, Cell]

    def gain(self, better: Trial, worse: Trial) -> Difference | None:
        """Return the gain of one trial over another in AP points, paired by seed; None where they share no seed."""
        if better not in self.found or worse not in self.found:
            return None
        return paired_gain(self.found[better], self.found[worse])


def ablation_scores(evidence: Evidence) -> AblationScores:
    """Find the ablation with the most trained cells and seeds among the records; of equals the longest training.

    Only records of the shipped recipe as it is now count: an older one's are another experiment.
    """
    cells = _trained_cells(evidence)
    names = {cell.get("iterations") for cell in cells}
    lengths = sorted(value for value in names if isinstance(value, int) and value > 0)

    def coverage(iterations: int) -> tuple[int, int]:
        digests = set(_digests(iterations).values())
        matching = [cell for cell in cells if cell.metric == "mask_ap" and cell.get("recipe_digest") in digests]
        return sum(len(cell.samples) for cell in matching), iterations

    chosen = max(lengths, key=coverage, default=0)
    if not chosen or coverage(chosen)[0] == 0:
        return AblationScores(load_recipe(RECIPE).iterations, {})
    owners = {digest: name for name, digest in _digests(chosen).items()}
    matching = [cell for cell in cells if str(cell.get("recipe_digest")) in owners]
    newest = max(matching, key=lambda cell: (cell.latest.started_utc, cell.latest.run_id)).dataset
    digest = newest.digest if newest else ""
    found = {}
    for cell in matching:
        interval = cell.get("key_frame_interval")
        name = owners[str(cell.get("recipe_digest"))]
        trial = Trial(
            name,
            interval if isinstance(interval, int) else None,
            cell.get("association") is not False,
            TRAIT_OF.get(cell.metric, ""),
        )
        if cell.dataset is not None and cell.dataset.digest == digest:
            found[trial] = cell
    return AblationScores(chosen, found)


def described(gain: Difference | None) -> str:
    """Say what the paired differences show, no more."""
    if gain is None:
        return "not run"
    values = sorted(gain.by_seed.values())
    if not any(values):
        return f"exactly equal scores in every one of {len(values)} seeds: no effect on this data"
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


def trend_sentence(evidence: Evidence, scores: AblationScores, trend: Trend) -> str:
    """Return one sentence: what differs, by how much, whether that exceeds the seed spread, what the paper found."""
    text = f"{trend.name[0].upper()}{trend.name[1:]}, {METRICS[trend.better.metric].label}: "
    text += described(scores.gain(trend.better, trend.worse))
    claim = evidence.claim(trend.claim_id) if trend.claim_id else None
    return text + (f" (the paper: {published_text(claim)} on {claim.dataset.split()[0]})" if claim else "") + "."

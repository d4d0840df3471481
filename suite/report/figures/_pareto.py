"""The Pareto frontier of points with a cost and a gain."""

from __future__ import annotations

from collections.abc import Sequence


def pareto(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points that no other point beats in both cost (lower) and gain (higher), by rising cost.

    Args:
        points: (cost, gain) pairs.
    """
    frontier: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda point: (point[0], -point[1])):
        if not frontier or gain > frontier[-1][1]:
            frontier.append((cost, gain))
    return frontier


def steps(frontier: Sequence[tuple[float, float]], right: float) -> tuple[list[float], list[float]]:
    """Return the frontier as a staircase that ends at ``right``: costs and gains to be joined by lines."""
    costs, gains = [], []
    for place, (cost, gain) in enumerate(frontier):
        following = frontier[place + 1][0] if place + 1 < len(frontier) else right
        costs += [cost, following]
        gains += [gain, gain]
    return costs, gains

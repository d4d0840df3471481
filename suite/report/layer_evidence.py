"""Layer times of the records: the latest breakdown of each model, engine and processor, with its modules' MACs."""

from __future__ import annotations

from dataclasses import dataclass

from suite.records.module_times import ModuleTime, by_module
from suite.records.schema import Run, Scalar, Series
from suite.report.evidence import Evidence

MISSING = "no layer times are recorded yet; run: python -m suite latency breakdown --record"


@dataclass(frozen=True)
class LayerEvidence:
    """One recorded breakdown.

    Attributes:
        run: where it was measured.
        model: whose.
        protocol: of the layers' series: input size, engine, form of the graph, CPU time, speed of a matrix product.
        modules: times and MACs by module, in order of execution.
        operators: kernel -> ms, longest first.
        layers: (node, kernel, ms) of every layer, longest first.
    """

    run: Run
    model: str
    protocol: dict[str, Scalar]
    modules: tuple[ModuleTime, ...]
    operators: tuple[tuple[str, float], ...]
    layers: tuple[tuple[str, str, float], ...]

    @property
    def total_ms(self) -> float:
        """Sum of all layers."""
        return sum(item.time_ms for item in self.modules)

    @property
    def size(self) -> str:
        """Input as ``"640x864"``."""
        return f"{self.protocol.get('height_px')}x{self.protocol.get('width_px')}"

    def number(self, key: str) -> float:
        """Return a number of the protocol, 0 where it has none."""
        value = self.protocol.get(key)
        return float(value) if isinstance(value, int | float) else 0.0


def _column(series: Series, name: str) -> list[Scalar]:
    place = series.columns.index(name)
    return [row[place] for row in series.rows]


def _number(value: Scalar) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def layer_evidence(evidence: Evidence) -> list[LayerEvidence]:
    """Return the latest breakdown of each model, input size and processor."""
    macs = {(run.run_id, series.subject.model): series for run, series in evidence.series("module_macs")}
    latest: dict[tuple[object, ...], LayerEvidence] = {}
    for run, series in evidence.series("latency_layers"):
        model = series.subject.model
        counted = macs.get((run.run_id, model))
        of_module = {}
        if counted is not None:
            names, counts = _column(counted, "module"), _column(counted, "macs")
            of_module = {str(name): int(_number(count)) for name, count in zip(names, counts, strict=True)}
        times = [_number(value) for value in _column(series, "time_ms")]
        modules = [str(value) for value in _column(series, "module")]
        nodes, kernels = ([str(value) for value in _column(series, key)] for key in ("node", "operator"))
        operators: dict[str, float] = {}
        for operator, time_ms in zip(kernels, times, strict=True):
            operators[operator] = operators.get(operator, 0.0) + time_ms
        found = LayerEvidence(
            run,
            model,
            dict(series.protocol),
            tuple(by_module(zip(modules, times, strict=True), of_module)),
            tuple(sorted(operators.items(), key=lambda item: -item[1])),
            tuple(sorted(zip(nodes, kernels, times, strict=True), key=lambda item: -item[2])),
        )
        latest[(model, found.size, run.machine.cpu)] = found
    return list(latest.values())

"""A measurement as a table for a terminal."""

from __future__ import annotations

from suite.latency.report import HostReport, LatencyReport

HEADERS = ("model", "span", "input", "T", "median wall", "p{percentile} wall", "median CPU", "CPU / anchor")


def result_lines(report: LatencyReport) -> list[str]:
    """Return one line per candidate; times in milliseconds per image or video frame, invalid ones without numbers."""
    rows = [tuple(header.format(percentile=report.protocol.percentile) for header in HEADERS)]
    remarks = []
    for result in report.results:
        labels = result.labels
        interval = "" if labels.key_frame_interval is None else str(labels.key_frame_interval)
        numbers = ("INVALID", "", "", "")
        if result.verdict.valid:
            times = (f"{time:.2f}" for time in (result.wall_median_ms, result.wall_tail_ms, result.cpu_median_ms))
            ratio = result.ratio_cpu
            own = result.anchor == labels.title
            usable = report.result(result.anchor).verdict.valid
            shown = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if usable else "anchor invalid"
            numbers = (*times, "anchor" if own else shown)  # type: ignore[assignment]
        else:
            remarks.append(f"{labels.title}: {result.verdict.summary()}")
        rows.append((labels.model, labels.span, f"{labels.height_px}x{labels.width_px}", interval, *numbers))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADERS))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return [*lines, "", *remarks]


def counts_line(report: LatencyReport, cores: int) -> str:
    """Return how the times were made, as one line."""
    return (
        f"{report.results[0].samples} samples each in {report.elapsed_s:.0f} s, interleaved, core {report.core} of "
        f"{cores}, one thread, {report.results[0].labels.precision}, niceness {report.niceness}; "
        f"intervals {report.protocol.interval_level:.0%}, bootstrap over rounds"
    )


def report_table(report: HostReport) -> str:
    """Return a host measurement's results and the lines that say how and where they were made."""
    machine = report.machine.machine
    random = sorted({result.labels.model for result in report.results if result.labels.weights_sha256 is None})
    lines = [*result_lines(report), counts_line(report, machine.cores)]
    lines.append(f"{machine.cpu}; {machine.system}; times are this machine's, not a phone's")
    if random:
        lines.append(f"random weights: {', '.join(random)}; their postprocess keeps every query, the worst case")
    return "\n".join(lines)

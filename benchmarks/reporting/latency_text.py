"""Latency results as tables for a terminal."""

from collections.abc import Iterable

from benchmarks.measuring.latency_record import CallTiming, LatencyResult, MedianChange


def format_result(result: LatencyResult) -> str:
    """Each network's times by batch size, then its times in a process of its own."""
    batches = sorted({timing.batch for timing in result.timings})
    height, width = result.input
    rows = [
        f"{f'{result.architecture} {height}x{width}':44}{'precision':>10}"
        + "".join(f"{f'batch {b}: median':>18}{'p95 ms':>9}{'x eager':>9}{'x limit':>9}" for b in batches)
    ]
    for network in result.networks:
        row = f"{network.name:44}{network.precision:>10}"
        for timing in sorted((t for t in result.timings if t.name == network.name), key=lambda t: t.batch):
            row += _cells(timing)
        rows.append(row)
    if result.alone:
        rows.append(f"{'alone':44}{'1 at a time: p90 ms':>22}{'8 at a time: p99 ms':>22}{'resident MiB':>14}")
    rows += [
        f"{one.name:44}{one.single_stream_p90_ms:>22.2f}{one.multi_stream_p99_ms:>22.2f}{one.resident_mib:>14.0f}"
        for one in result.alone
    ]
    return "\n".join(rows)


def _cells(timing: CallTiming) -> str:
    limit = "-" if timing.times_arithmetic is None else f"{timing.times_arithmetic:.1f}"
    eager = "-" if timing.times_eager is None else f"{timing.times_eager:.2f}"
    return f"{timing.median_ms:>18.3f}{timing.p95_ms:>9.3f}{eager:>9}{limit:>9}"


def format_changes(found: Iterable[MedianChange]) -> str:
    """What became faster, what slower, and what is noise."""
    rows = [f"{'case':22}{'network':34}{'batch':>6}{'old ms':>10}{'new ms':>10}{'x faster':>10}  verdict"]
    for one in found:
        verdict = "noise" if one.is_noise else "faster" if one.ratio > 1 else "slower"
        rows.append(
            f"{one.case:22}{one.name:34}{one.batch:>6}{one.old_ms:>10.2f}{one.new_ms:>10.2f}{one.ratio:>10.2f}"
            f"  {verdict} (spread {100 * one.spread:.0f} %)"
        )
    return "\n".join(rows)

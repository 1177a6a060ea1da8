"""The contents of a latency record, how they are read again, and how two records are compared."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.roofline import NetworkCost, Peaks, arithmetic_ms, layerwise_ms
from benchmarks.peers.plain_export import EAGER
from edge_runtime.contract.errors import ConfigError

Samples = Mapping[tuple[str, int], NDArray[np.float64]]
"""Milliseconds per call, by network and batch."""

_Entry = TypeVar("_Entry")


@dataclass(frozen=True)
class TimedNetwork:
    """One engine or peer that was timed. sha256: the engine's digest, None for random weights.

    is_peer: a usual way to run the network, timed for comparison.
    """

    name: str
    backend: str
    precision: str
    weights: str
    sha256: str | None
    rank1: float | None
    mean_ap: float | None
    is_peer: bool = False


@dataclass(frozen=True)
class CallTiming:
    """Wall time of one call on a batch.

    times_eager: PyTorch eager's median over this one, larger is faster; None if eager was not timed.
    arithmetic_ms, layerwise_ms: the least time by the machine's peaks, see `roofline`. times_arithmetic: the median
    over arithmetic_ms; the limit is 1.
    """

    name: str
    batch: int
    median_ms: float
    p95_ms: float
    times_eager: float | None
    p99_ms: float | None = None
    arithmetic_ms: float | None = None
    layerwise_ms: float | None = None
    times_arithmetic: float | None = None


@dataclass(frozen=True)
class IsolatedTiming:
    """A network in a process of its own, one call after the other, counted as MLPerf Inference counts.

    Single stream: one image at a time, 90th percentile. Multi-stream: eight at a time, 99th percentile. The runs are
    much shorter than MLPerf's. resident_mib: the whole process at its end. mj_per_descriptor: energy of the whole
    board, where it has power rails.
    """

    name: str
    single_stream_p90_ms: float
    single_stream_queries: int
    multi_stream_p99_ms: float
    multi_stream_queries: int
    resident_mib: float
    mj_per_descriptor: float | None = None
    mean_w: float | None = None


@dataclass(frozen=True)
class LatencyResult:
    """All engines and peers of one architecture and input size. mult_adds, weights, values: of one image.

    runs_dropped: number of short runs that were left out because the clock was low.
    """

    architecture: str
    input: tuple[int, int]
    networks: tuple[TimedNetwork, ...]
    timings: tuple[CallTiming, ...]
    alone: tuple[IsolatedTiming, ...] = ()
    mult_adds: int | None = None
    weights: int | None = None
    values: int | None = None
    runs_dropped: int = 0

    def as_json(self) -> dict[str, Any]:
        """As a record holds it."""
        return asdict(self)


def summarise_samples(
    samples: Samples, networks: Iterable[TimedNetwork], *, cost: NetworkCost | None, peaks: Peaks | None
) -> tuple[CallTiming, ...]:
    """Summarise samples for the record. cost, peaks: None if unknown; then the limits are None, too."""
    precisions = {network.name: network.precision for network in networks}
    return tuple(
        _timing(
            (name, batch),
            values,
            eager=samples.get((EAGER, batch)),
            limits=_limits(cost, peaks, precision=precisions[name], batch=batch),
        )
        for (name, batch), values in samples.items()
    )


def _limits(
    cost: NetworkCost | None, peaks: Peaks | None, *, precision: str, batch: int
) -> tuple[float | None, float | None]:
    """Milliseconds of the arithmetic alone, and layer by layer with the traffic; None if unknown."""
    if cost is None or peaks is None:
        return None, None
    arithmetic = arithmetic_ms(cost, peaks, precision=precision, batch=batch)
    return arithmetic, layerwise_ms(cost, peaks, precision=precision, batch=batch)


def _timing(
    key: tuple[str, int],
    values: NDArray[np.float64],
    *,
    eager: NDArray[np.float64] | None,
    limits: tuple[float | None, float | None],
) -> CallTiming:
    """key: name and batch."""
    median, p95, p99 = (float(value) for value in np.percentile(values, [50, 95, 99]))
    least, layerwise = limits
    return CallTiming(
        name=key[0],
        batch=key[1],
        median_ms=round(median, 3),
        p95_ms=round(p95, 3),
        times_eager=None if eager is None else round(float(np.median(eager)) / median, 2),
        p99_ms=round(p99, 3),
        arithmetic_ms=None if least is None else round(least, 4),
        layerwise_ms=None if layerwise is None else round(layerwise, 4),
        times_arithmetic=None if least is None else round(median / least, 2),
    )


def parse_results(record: Mapping[str, Any], *, source: Path) -> tuple[LatencyResult, ...]:
    """The results in a latency record, which holds one or several.

    Raises:
        ConfigError: it is the record of another benchmark.
    """
    try:
        return tuple(_case(found) for found in record.get("cases", [record]))
    except (KeyError, TypeError) as error:
        raise ConfigError(f"{source} is no record of benchmarks/latency.py: {error} is missing or wrong") from error


def _case(found: Mapping[str, Any]) -> LatencyResult:
    return LatencyResult(
        architecture=found["architecture"],
        input=(found["input"][0], found["input"][1]),
        networks=tuple(_from_json(TimedNetwork, row) for row in found["networks"]),
        timings=tuple(_from_json(CallTiming, row) for row in found["timings"]),
        alone=tuple(_from_json(IsolatedTiming, row) for row in found.get("alone", ())),
        mult_adds=found.get("mult_adds"),
        weights=found.get("weights"),
        values=found.get("values"),
        runs_dropped=found.get("runs_dropped", 0),
    )


def _from_json(kind: type[_Entry], row: Mapping[str, Any]) -> _Entry:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in row.items() if key in known})


@dataclass(frozen=True)
class MedianChange:
    """The same network in two records. ratio: old over new median, larger is faster now. spread: what may be chance."""

    case: str
    name: str
    batch: int
    old_ms: float
    new_ms: float
    ratio: float
    spread: float

    @property
    def is_noise(self) -> bool:
        """Whether the medians differ by no more than the spread."""
        return 1 / (1 + self.spread) <= self.ratio <= 1 + self.spread


def find_changes(old: Iterable[LatencyResult], new: Iterable[LatencyResult]) -> list[MedianChange]:
    """What both records hold. The spread is the larger distance from median to 95th percentile, as a share."""
    before = {_key(case, timing): timing for case in old for timing in case.timings}
    found = []
    for case in new:
        for timing in case.timings:
            earlier = before.get(_key(case, timing))
            if earlier is not None:
                found.append(_change(case, earlier, new=timing))
    return found


def _key(case: LatencyResult, timing: CallTiming) -> tuple[str, tuple[int, int], str, int]:
    return case.architecture, case.input, timing.name, timing.batch


def _change(case: LatencyResult, old: CallTiming, *, new: CallTiming) -> MedianChange:
    return MedianChange(
        case=f"{case.architecture} {case.input[0]}x{case.input[1]}",
        name=new.name,
        batch=new.batch,
        old_ms=old.median_ms,
        new_ms=new.median_ms,
        ratio=round(old.median_ms / new.median_ms, 3),
        spread=round(max(one.p95_ms / one.median_ms - 1 for one in (old, new)), 3),
    )

"""Power rails, clocks and power mode of a Jetson, read from /sys. Other machines have none of them.

Not run on a Jetson yet: names of files and rails are those of NVIDIA's documents and of the kernel's ina3221 driver.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from export.building.timing import Call, interleave

_RAILS = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in*_label"
_TOTAL = "VDD_IN"  # Orin Nano and NX measure the whole module on this rail; AGX Orin has no such rail
_UNUSED = ("NC", "sum of shunt voltages")
_GPU_CLOCKS = ("sys/class/devfreq/*.gpu", "sys/class/devfreq/*.ga10b", "sys/class/devfreq/*.gv11b")
_CPU_CLOCK = "sys/devices/system/cpu/cpu0/cpufreq"
_MODE, _MODES = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"
_SAMPLE_S = 0.05
_STEADY = 0.97  # of the highest clock seen; the governor's steps are larger than the rest
_ROUNDS_PER_RUN = 10

NetworkBatch = tuple[str, int]
"""A network's name and a batch size."""


@dataclass(frozen=True)
class Rail:
    """One measured supply; the folder's files give millivolts and milliamperes."""

    name: str
    folder: Path
    channel: int

    def power_mw(self) -> float:
        """Power now, in milliwatts."""
        volts, amperes = (_number(self.folder / f"{kind}{self.channel}_input") or 0 for kind in ("in", "curr"))
        return volts * amperes / 1000


@dataclass(frozen=True)
class Energy:
    """Power samples, complete when the `with` block of `Jetson.metered` ends; idle power is included."""

    samples_mw: list[float] = field(default_factory=list)

    @property
    def mean_w(self) -> float:
        """Mean power in watts."""
        return float(np.mean(self.samples_mw)) / 1000


class Jetson:
    """The board whose files lie under `root`. Reads only."""

    def __init__(self, root: Path) -> None:
        """root: `/`, or a folder with the same files."""
        self._root = root
        rails = list(_rails(root))
        whole = [rail for rail in rails if rail.name == _TOTAL]
        self.rails = tuple(whole or rails)
        """The rails whose sum is the module's power."""
        clocks = [folder for pattern in _GPU_CLOCKS for folder in sorted(root.glob(pattern))]
        self._gpu_clock = clocks[0] / "cur_freq" if clocks else None

    def facts(self) -> dict[str, object]:
        """The board's state, for a record."""
        cpu_khz = _number(self._root / _CPU_CLOCK / "scaling_cur_freq")
        cpu_most_khz = _number(self._root / _CPU_CLOCK / "cpuinfo_max_freq")
        return {
            "power_mode": self.power_mode(),
            "gpu_mhz": _mega(self.gpu_hz(), 1e6),
            "cpu_mhz": _mega(cpu_khz, 1e3),
            "cpu_most_mhz": _mega(cpu_most_khz, 1e3),
            "rails": [rail.name for rail in self.rails],
        }

    def gpu_hz(self) -> float | None:
        """The GPU's clock now."""
        return _number(self._gpu_clock) if self._gpu_clock else None

    def power_mode(self) -> str | None:
        """The mode that nvpmodel set, by name where its list is there: `15W`, else `mode 2`."""
        status = _text(self._root / _MODE)
        found = re.search(r"pmode:(\d+)", status or "")
        if not found:
            return None
        number = int(found[1])
        named = re.search(rf"POWER_MODEL\s+ID={number}\s+NAME=(\S+)", _text(self._root / _MODES) or "")
        return named[1] if named else f"mode {number}"

    @contextmanager
    def metered(self) -> Iterator[Energy]:
        """Measure the power while the block runs, in a thread of its own."""
        energy, stop = Energy(), threading.Event()

        def sample() -> None:
            while True:
                energy.samples_mw.append(sum(rail.power_mw() for rail in self.rails))
                if stop.wait(_SAMPLE_S):
                    return

        thread = threading.Thread(target=sample, name="power", daemon=True)
        thread.start()
        try:
            yield energy
        finally:
            stop.set()
            thread.join()


def find_jetson(root: Path = Path("/")) -> Jetson | None:
    """The board this runs on; None where no power rail can be read."""
    board = Jetson(root)
    return board if board.rails else None


@dataclass(frozen=True)
class SteadySamples:
    """Milliseconds by network and batch, and how many runs were dropped because the clock was low."""

    samples: Mapping[NetworkBatch, NDArray[np.float64]]
    runs: int
    dropped: int


def interleave_steadily(
    calls: Mapping[NetworkBatch, Call], *, rounds: int, clock_hz: Callable[[], float | None] | None
) -> SteadySamples:
    """`interleave` in short runs, without those before or after which the clock was below the highest one seen.

    clock_hz: reads the clock; None if there is none to read, then it is one run and nothing is dropped. The run with
    the highest clock is always kept.
    """
    if clock_hz is None or clock_hz() is None:
        return SteadySamples(interleave(calls, rounds=rounds), runs=1, dropped=0)
    runs, clocks = [], []
    for seed, start in enumerate(range(0, rounds, _ROUNDS_PER_RUN)):
        before = clock_hz() or 0
        runs.append(interleave(calls, rounds=min(_ROUNDS_PER_RUN, rounds - start), seed=seed))
        clocks.append(min(before, clock_hz() or 0))
    kept = [run for run, clock in zip(runs, clocks, strict=True) if clock >= _STEADY * max(clocks)]
    samples = {name: np.concatenate([run[name] for run in kept]) for name in calls}
    return SteadySamples(samples, runs=len(runs), dropped=len(runs) - len(kept))


def _rails(root: Path) -> Iterator[Rail]:
    for label in sorted(root.glob(_RAILS)):
        name, channel = (_text(label) or "").strip(), int(re.sub(r"\D", "", label.name))
        has_current = (label.parent / f"curr{channel}_input").exists()
        if name and name not in _UNUSED and has_current:
            yield Rail(name, label.parent, channel)


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None


def _mega(value: float | None, unit: float) -> float | None:
    return None if value is None else round(value / unit, 1)

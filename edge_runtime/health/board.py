"""Temperature, power and throttling of the board, as Linux tells them in /sys; each is empty where it tells nothing."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_SYS = Path("/sys/class")
_RAILS = 8  # of one power monitor


def read_temperatures(root: Path = _SYS) -> dict[str, float]:
    """Degrees Celsius by the name of the zone; the hottest of zones with one name."""
    found: dict[str, float] = {}
    for zone in sorted(root.glob("thermal/thermal_zone*")):
        name, value = _text(zone / "type"), _number(zone / "temp")
        if name and value is not None:
            found[name] = max(value / 1000, found.get(name, -273.0))
    return found


def read_power(root: Path = _SYS) -> dict[str, float]:
    """Watts by the name of the supply rail, of monitors that tell power, or voltage and current (as a Jetson's do)."""
    found = {}
    for monitor in sorted(root.glob("hwmon/hwmon*")):
        for rail in range(1, _RAILS + 1):
            watts = _watts(monitor, rail)
            if watts is not None:
                labels = (_text(monitor / f"{kind}{rail}_label") for kind in ("power", "in"))
                name = next(filter(None, labels), f"{_text(monitor / 'name') or monitor.name} {rail}")
                found[name] = watts
    return found


def read_is_throttled(root: Path = _SYS) -> bool | None:
    """Whether anything is slowed down now because of heat or power; None if this machine has nothing that could be.

    Fans do not count: they cool without slowing down.
    """
    states = [_number(device / "cur_state") for device in _brakes(root)]
    known = [state for state in states if state is not None]
    return any(state > 0 for state in known) if known else None


def _brakes(root: Path) -> Iterator[Path]:
    for device in root.glob("thermal/cooling_device*"):
        name = _text(device / "type")
        if name and "fan" not in name.lower():
            yield device


def _watts(monitor: Path, rail: int) -> float | None:
    microwatts = _number(monitor / f"power{rail}_input")
    if microwatts is not None:
        return microwatts / 1e6
    millivolts, milliamperes = (_number(monitor / f"{kind}{rail}_input") for kind in ("in", "curr"))
    return None if millivolts is None or milliamperes is None else millivolts * milliamperes / 1e6


def _text(path: Path) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):  # drivers refuse to read what they do not know now
        return path.read_text().strip()
    return None


def _number(path: Path) -> int | None:
    with contextlib.suppress(ValueError):
        text = _text(path)
        return None if text is None else int(text)
    return None

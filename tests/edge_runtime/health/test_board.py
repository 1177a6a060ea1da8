"""Sensors as Linux shows them, in a folder that looks like /sys/class."""

from pathlib import Path

import pytest

from edge_runtime.health.board import read_is_throttled, read_power, read_temperatures


def write(root: Path, files: dict[str, str]) -> None:
    """Write files with their folders."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def test_a_machine_that_tells_nothing_has_no_figures(tmp_path: Path) -> None:
    """A container has no sensors: nothing is shown, and nothing is 0."""
    assert read_temperatures(tmp_path) == read_power(tmp_path) == {}
    assert read_is_throttled(tmp_path) is None


def test_zones_are_told_by_name_and_the_hottest_of_one_name_counts(tmp_path: Path) -> None:
    """In degrees; a zone that is switched off refuses to be read, and one that tells no number is left out."""
    zones = {"0/type": "CPU-therm", "0/temp": "51500", "1/type": "CPU-therm", "1/temp": "48000", "2/type": "off"}
    zones |= {"3/type": "broken", "3/temp": "unknown", "4/type": "outside", "4/temp": "-12500"}
    write(tmp_path, {f"thermal/thermal_zone{name}": text for name, text in zones.items()})
    assert read_temperatures(tmp_path) == {"CPU-therm": 51.5, "outside": -12.5}


def test_power_is_told_or_made_of_voltage_and_current(tmp_path: Path) -> None:
    """Monitors of a Jetson tell millivolts and milliamperes, others microwatts."""
    jetson = {"name": "ina3221", "in1_label": "VDD_IN", "in1_input": "5000", "curr1_input": "1450", "in2_input": "5000"}
    write(tmp_path, {f"hwmon/hwmon0/{name}": text for name, text in jetson.items()})
    write(tmp_path, {"hwmon/hwmon1/name": "board", "hwmon/hwmon1/power2_input": "3500000"})
    assert read_power(tmp_path) == {"VDD_IN": pytest.approx(7.25), "board 2": pytest.approx(3.5)}


def test_a_brake_that_is_on_is_throttling_and_a_fan_is_none(tmp_path: Path) -> None:
    """A fan cools without slowing down; a brake that is not in use tells 0 or -1."""
    write(tmp_path, {"thermal/cooling_device0/type": "pwm-fan", "thermal/cooling_device0/cur_state": "3"})
    assert read_is_throttled(tmp_path) is None
    write(tmp_path, {"thermal/cooling_device1/type": "cpufreq-cpu0", "thermal/cooling_device1/cur_state": "0"})
    write(tmp_path, {"thermal/cooling_device2/type": "intel_powerclamp", "thermal/cooling_device2/cur_state": "-1"})
    assert read_is_throttled(tmp_path) is False
    write(tmp_path, {"thermal/cooling_device1/cur_state": "2"})
    assert read_is_throttled(tmp_path) is True

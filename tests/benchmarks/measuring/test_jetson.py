"""Power, clocks and power mode of a Jetson, out of a folder that looks like its /sys. None of it ran on a Jetson."""

import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.measuring.jetson import find_jetson, interleave_steadily


def write_rail(root: Path, *, label: str, channel: int, mv: int, ma: int, chip: str = "1-0040") -> None:
    """One channel of an INA3221 as the kernel shows it."""
    folder = root / "sys/bus/i2c/drivers/ina3221" / chip / "hwmon/hwmon3"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ((f"in{channel}_label", label), (f"in{channel}_input", mv), (f"curr{channel}_input", ma)):
        (folder / name).write_text(f"{text}\n")


@pytest.fixture
def orin_nano(tmp_path: Path) -> Path:
    """A board with one rail for the whole module, two for parts of it, and clocks."""
    write_rail(tmp_path, label="VDD_IN", channel=1, mv=5000, ma=1200)
    write_rail(tmp_path, label="VDD_CPU_GPU_CV", channel=2, mv=5000, ma=400)
    write_rail(tmp_path, label="VDD_SOC", channel=3, mv=5000, ma=300)
    sums = tmp_path / "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon3"
    (sums / "in7_label").write_text("sum of shunt voltages\n")
    gpu = tmp_path / "sys/class/devfreq/17000000.gpu"
    gpu.mkdir(parents=True)
    (gpu / "cur_freq").write_text("624750000\n")
    (tmp_path / "var/lib/nvpmodel").mkdir(parents=True)
    (tmp_path / "var/lib/nvpmodel/status").write_text("pmode:0001 fmode:cool\n")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nvpmodel.conf").write_text("< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n")
    return tmp_path


def test_the_whole_modules_rail_is_measured_where_there_is_one(orin_nano: Path) -> None:
    """The other rails are parts of it: adding them would count twice. 5 V at 1.2 A are 6 W."""
    board = find_jetson(orin_nano)
    assert board is not None
    assert [rail.name for rail in board.rails] == ["VDD_IN"]
    with board.metered() as energy:
        time.sleep(0.01)
    assert energy.mean_w == pytest.approx(6.0)


def test_rails_are_added_where_none_holds_them_all(tmp_path: Path) -> None:
    """AGX Orin: several rails on two chips; a channel that is not connected is left out."""
    write_rail(tmp_path, label="VDD_GPU_SOC", channel=1, mv=20000, ma=100)
    write_rail(tmp_path, label="VIN_SYS_5V0", channel=3, mv=5000, ma=200)
    write_rail(tmp_path, label="NC", channel=1, mv=5000, ma=900, chip="1-0041")
    board = find_jetson(tmp_path)
    assert board is not None
    assert sum(rail.power_mw() for rail in board.rails) == pytest.approx(3000)


def test_the_record_holds_mode_and_clocks(orin_nano: Path) -> None:
    """A latency without them cannot be compared."""
    board = find_jetson(orin_nano)
    assert board is not None
    facts = board.facts()
    assert (facts["power_mode"], facts["gpu_mhz"], facts["rails"]) == ("7W", 624.8, ["VDD_IN"])
    (orin_nano / "etc/nvpmodel.conf").unlink()
    assert board.power_mode() == "mode 1"


def test_a_machine_without_rails_is_no_jetson(tmp_path: Path) -> None:
    """Nothing is measured, and nothing is claimed."""
    assert find_jetson(tmp_path) is None


def test_runs_with_a_clock_dip_are_dropped() -> None:
    """The third of four runs begins at half the clock: its samples are gone, the others stay."""
    clocks = iter([600, 600, 600, 600, 600, 300, 600, 600, 600])
    found = interleave_steadily({("engine", 1): lambda: None}, rounds=40, clock_hz=lambda: next(clocks))
    assert (found.runs, found.dropped) == (4, 1)
    assert found.samples["engine", 1].shape == (30,)


def test_without_a_clock_nothing_is_dropped() -> None:
    """As on every machine that is no Jetson: all samples stay."""
    found = interleave_steadily({("engine", 1): lambda: None}, rounds=12, clock_hz=None)
    assert (found.runs, found.dropped, found.samples["engine", 1].dtype) == (1, 0, np.float64)
    assert found.samples["engine", 1].shape == (12,)

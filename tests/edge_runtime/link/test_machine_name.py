"""The name that a machine has by itself."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.link.machine_name import machine_name
from edge_runtime.link.topics import check_name


def put_card(root: Path, name: str, address: str, *, is_real: bool) -> None:
    """Add a network card as Linux shows it."""
    card = root / "sys/class/net" / name
    card.mkdir(parents=True)
    (card / "address").write_text(address + "\n")
    if is_real:
        (card / "device").mkdir()


def test_a_board_is_named_by_its_serial_number(tmp_path: Path) -> None:
    """Which ends with a NUL in the device tree."""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/serial-number").write_text("1421122A0063\0")
    put_card(tmp_path, "eth0", "48:b0:2d:00:00:01", is_real=True)
    assert machine_name(tmp_path) == "node-1421122a0063"
    assert check_name(machine_name(tmp_path), what="name")


def test_another_machine_is_named_by_its_first_real_network_card(tmp_path: Path) -> None:
    """Bridges and containers make up their addresses; a serial number of zeros is none."""
    (tmp_path / "proc/device-tree").mkdir(parents=True)
    (tmp_path / "proc/device-tree/serial-number").write_text("0000\0")
    put_card(tmp_path, "docker0", "02:42:00:00:00:01", is_real=False)
    put_card(tmp_path, "wlan0", "48:b0:2d:00:00:02", is_real=True)
    put_card(tmp_path, "eth0", "48:b0:2d:00:00:01", is_real=True)
    assert machine_name(tmp_path) == "node-48b02d000001"


def test_a_machine_without_either_must_be_named(tmp_path: Path) -> None:
    """A name that another machine may have, too, is worse than none."""
    with pytest.raises(ConfigError, match="found neither; write `node: NAME`"):
        machine_name(tmp_path)

"""A name for this machine from what no copied disk image brings along."""

import re
from pathlib import Path

from edge_runtime.contract.errors import ConfigError

_SERIAL = "proc/device-tree/serial-number"  # of a Jetson and other boards


def machine_name(root: Path = Path("/")) -> str:
    """The board's serial number, or else the address of its first network card, as `node-...`.

    /etc/machine-id is not used: boards that were flashed from one image may share it. root: where the system's files
    are.

    Raises:
        ConfigError: there is neither.
    """
    try:
        serial = re.sub(r"[^0-9a-z]", "", (root / _SERIAL).read_text(errors="replace").lower())
    except OSError:
        serial = ""
    if serial.strip("0"):
        return f"node-{serial}"
    # Only real cards have a device; the addresses of bridges and containers are made up at each start.
    cards = sorted(card for card in (root / "sys/class/net").glob("*") if (card / "device").exists())
    for card in cards:
        try:
            address = (card / "address").read_text().strip().replace(":", "")
        except OSError:  # it was taken out
            continue
        if address.strip("0"):
            return f"node-{address}"
    raise ConfigError(
        f"expected a serial number in /{_SERIAL} or a network card to name the node by, found neither; "
        "write `node: NAME`, another one on each machine"
    )

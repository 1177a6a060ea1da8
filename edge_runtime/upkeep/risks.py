"""What in a configuration lets others see people's descriptors or passwords."""

import logging
import stat
from ipaddress import ip_address
from pathlib import Path

from edge_runtime.config import Config
from edge_runtime.contract.errors import ConfigError

logger = logging.getLogger(__name__)


def find_risks(config: Config) -> list[str]:
    """One sentence for each risk: what can be seen by whom, and what to do. Files that are missing are not judged."""
    risks = []
    broker, other = config.broker, config.boxes_broker
    if other and other.password_file and other.ca_file is None and not _is_this_machine(other.host):
        risks.append(f"the password goes to the broker {other} without encryption: set ca_file and a port with TLS")
    if broker.ca_file is None and not _is_this_machine(broker.host):
        what = "descriptors, which are biometric data, and the password" if broker.password_file else "descriptors"
        risks.append(f"{what} go to the broker {broker} without encryption: set ca_file and a port with TLS")
    if config.health.port and not _is_this_machine(config.health.host):
        risks.append(
            f"everybody who reaches {config.health.host}:{config.health.port} sees the health page: use 127.0.0.1"
        )
    brokers = [one for one in (broker, other) if one]
    secrets = [file for one in brokers for file in (one.password_file, one.key_file)]
    secrets += [*(camera.source_file for camera in config.cameras)]
    risks += [
        f"other users of this machine can read {path}: chmod o-rwx {path}"
        for path in dict.fromkeys(secrets)
        if path is not None and _is_open_to_others(path)
    ]
    return risks


def tell_risks(config: Config) -> None:
    """Log each risk.

    Raises:
        ConfigError: there are risks, and the configuration is strict.
    """
    risks = find_risks(config)
    if risks and config.strict:
        raise ConfigError(f"the configuration is strict and has risks ({len(risks)}): {'; '.join(risks)}")
    for risk in risks:
        logger.warning("%s; with `strict: true` this is refused", risk)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_open_to_others(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IRWXO)
    except OSError:
        return False

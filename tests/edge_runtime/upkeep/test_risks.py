"""Risks of a configuration: told, or refused."""

from pathlib import Path
from typing import Any

import pytest

from edge_runtime.config import Config
from edge_runtime.upkeep.risks import find_risks


def configure(folder: Path, **changes: Any) -> Config:
    """A configuration without a risk but for the changes."""
    (folder / "camera.url").write_text("rtsp://me:secret@10.0.0.7/stream")
    (folder / "camera.url").chmod(0o640)
    settings = {
        "site": "shop",
        "node": "gate",
        "cameras": [{"id": "door", "source_file": "camera.url"}],
        "engine": {"model": "a.onnx"},
        "broker": {"host": "broker.example", "ca_file": "ca.pem"},
        "spool": {"path": "spool.sqlite"},
    }
    return Config.model_validate(settings | changes, context=folder)


def test_an_encrypted_link_and_closed_files_are_no_risk(tmp_path: Path) -> None:
    """Nor is a broker on this machine."""
    assert find_risks(configure(tmp_path)) == []
    for host in ("localhost", "127.0.0.1", "::1"):
        assert find_risks(configure(tmp_path, broker={"host": host})) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"broker": {"host": "10.0.0.1"}}, "descriptors go to the broker 10.0.0.1:1883 without encryption"),
        ({"broker": {"host": "b", "user_file": "u", "password_file": "p"}}, "and the password go to the broker b:1883"),
        ({"health": {"host": "0.0.0.0"}}, "everybody who reaches 0.0.0.0:9464"),
    ],
)
def test_what_others_can_see_is_told(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """With what to do."""
    [risk] = find_risks(configure(tmp_path, **changes))
    assert expected in risk
    assert ": " in risk


def test_a_file_with_a_password_that_all_users_can_read_is_told(tmp_path: Path) -> None:
    """The camera's address here."""
    config = configure(tmp_path)
    (tmp_path / "camera.url").chmod(0o644)
    [risk] = find_risks(config)
    assert risk.endswith(f"chmod o-rwx {tmp_path}/camera.url")

"""Whether somebody sets the clock: what the machine says, and what messages say then."""

import logging
import time
from pathlib import Path

import pytest

from edge_runtime.link import clock
from edge_runtime.link.broker_settings import BrokerSettings
from edge_runtime.link.clock import UNKNOWN_NS, SystemClock, read_is_synchronised
from edge_runtime.link.messages import DescriptorMessage
from edge_runtime.link.publisher import LinkSettings, Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.link.wire_format import decode_message
from tests.support.sample_messages import MANIFEST, descriptor_message


def test_a_year_before_this_program_is_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without a battery begins in 1970, whatever its kernel says."""
    monkeypatch.setattr(time, "time_ns", lambda: 30 * 10**9)
    assert read_is_synchronised() is False


def test_a_time_service_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-timesyncd leaves a file once it has set the clock."""
    monkeypatch.setattr(clock, "_TIMESYNC", tmp_path)
    assert read_is_synchronised() is True


def test_the_kernel_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody else knows, adjtimex(2) does; it needs no privilege."""
    monkeypatch.setattr(clock, "_TIMESYNC", tmp_path / "absent")
    assert read_is_synchronised() in (True, False)


def test_a_change_is_logged_once_each_way(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Not once a second for years."""
    states = [False, False, True, True, None, False]
    monkeypatch.setattr(clock, "_READ_EVERY_S", -1.0)
    monkeypatch.setattr(clock, "read_is_synchronised", lambda: states.pop(0))
    system = SystemClock()
    with caplog.at_level(logging.INFO):
        for _ in range(6):
            system.is_synchronised()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


@pytest.mark.parametrize(
    ("state", "source", "uncertainty_ns"),
    [
        (True, "arrival", 50_000_000),
        (None, "arrival", 50_000_000),
        (False, "arrival", UNKNOWN_NS),
        (False, "file", 50_000_000),
    ],
)
def test_a_message_says_how_right_its_time_is(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, state: bool | None, source: str, uncertainty_ns: int
) -> None:
    """By a clock that nobody sets the uncertainty is 292 years, so that older receivers are right too."""
    monkeypatch.setattr(clock, "read_is_synchronised", lambda: state)
    settings = LinkSettings(BrokerSettings("127.0.0.1", 1), site="lab", node="cam")
    publisher = Publisher(settings, spool, node_card={}, manifests=[MANIFEST])
    publisher.publish("door", [descriptor_message(time_source=source)])
    (row,) = spool.pending(first=0, stop=9, limit=9)
    message = decode_message(row.payload, leaf="descriptor")
    assert isinstance(message, DescriptorMessage)
    assert (message.is_clock_synchronised, message.uncertainty_ns) == (state, uncertainty_ns)
    assert publisher.facts().is_clock_synchronised is state

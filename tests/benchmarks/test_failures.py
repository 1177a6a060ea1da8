"""Every fault once, on a real node, broker and disk; a message neither received nor told as lost is seen."""

import dataclasses
import json
import random
from pathlib import Path

import pytest

from benchmarks.failures import account_for, main
from benchmarks.measuring.hostile_messages import descriptor_message, random_descriptors
from benchmarks.measuring.mortal_node import is_unchanged
from benchmarks.measuring.site_faults import FAULTS, draw_faults
from edge_runtime.contract.errors import ConfigError
from edge_runtime.receiver.receiver import NodeSummary, Receiver, ReceiverSummary
from edge_runtime.receiver.sequence import Missing

NOTHING = Receiver().summary()


def heard(first: int, last: int, *missing: Missing) -> ReceiverSummary:
    """What a receiver says of one node."""
    return dataclasses.replace(NOTHING, nodes=(NodeSummary("lab/cam", first, last, missing),))


def test_through_every_fault_each_message_is_received_or_told(tmp_path: Path) -> None:
    """Kills, a broker that restarts and hangs, a disk that is full, locked and damaged, a clock that is set."""
    output = tmp_path / "failures.json"
    assert main(["--messages", "700", "--faults", "7", "--output", str(output)]) == 0
    record = json.loads(output.read_text())
    account = record["account"]
    assert account["numbers"] >= 700
    assert account["received"] + sum(account["given_up"].values()) == account["numbers"]
    assert account["unexplained"] == account["reused"] == account["altered"] == account["refused"] == 0
    assert account["waiting"] == 0
    assert record["kills"] >= 2
    assert record["flipped_bits"] > 0


@pytest.mark.parametrize(
    ("summary", "unexplained"),
    [
        (heard(0, 9), 0),
        (heard(0, 9, Missing(3, 5, None)), 3),
        (heard(0, 9, Missing(3, 5, "lost"), Missing(7, 7, None)), 1),
        (heard(2, 9), 2),
        (heard(0, 7), 2),
    ],
)
def test_a_number_that_nobody_speaks_of_is_unexplained(summary: ReceiverSummary, unexplained: int) -> None:
    """In the middle, before the first and behind the last one that arrived; the node has used the numbers 0 to 9."""
    account = account_for(summary, numbers=10, waiting=0, altered=0)
    assert account.unexplained == unexplained


def test_a_gap_is_told_by_its_reason() -> None:
    """A number that is told as lost was not received: it is counted apart, and is no fault."""
    summary = heard(0, 9, Missing(1, 2, "disk"), Missing(4, 4, "lost"), Missing(6, 6, "disk"))
    assert account_for(summary, numbers=10, waiting=0, altered=0).given_up == {"disk": 3, "lost": 1}


def test_a_message_with_another_content_is_seen() -> None:
    """Also where it is well formed: the node's mark is of the bytes that it has made."""
    message = descriptor_message(0, random_descriptors(0)[0])
    assert not is_unchanged(message)


def test_faults_come_once_each_before_any_comes_twice() -> None:
    """And no full disk where there is none to fill."""
    names = draw_faults(30, draw=random.Random(0), is_small_disk=True)
    assert set(names[: len(FAULTS)]) == set(FAULTS)
    assert len(names) == 30
    assert "disk full" not in draw_faults(30, draw=random.Random(0), is_small_disk=False)


@pytest.mark.parametrize("option", ["--messages", "--faults"])
def test_nothing_to_do_is_refused(option: str) -> None:
    """Before a broker starts."""
    with pytest.raises(ConfigError, match="at least 1"):
        main([option, "0"])

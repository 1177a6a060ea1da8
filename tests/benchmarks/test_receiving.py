"""The receiver against messages that break the contract."""

import json
from pathlib import Path

from benchmarks.measuring.hostile_messages import birth, good_messages, hostile_messages
from benchmarks.receiving import count_accepted, main
from edge_runtime.receiver.receiver import Receiver


def test_nothing_hostile_is_raised_or_kept_and_good_messages_still_count(tmp_path: Path) -> None:
    """All but the speed, which is of the machine."""
    output = tmp_path / "receiver.json"
    assert main(["--hostile", "800", "--good", "50", "--output", str(output)]) == 0
    record = json.loads(output.read_text())
    assert record["raised"] == []
    assert 0 < record["decoder_us"] < record["message_us"]
    assert {bar["bar"]: bar["is_met"] for bar in record["bars"] if "per CPU second" not in bar["bar"]} == {
        "messages that raise": True,
        "longest message, CPU seconds": True,
        "memory grown, MiB": True,
        "good messages accepted afterwards": True,
    }
    kinds = record["kinds"]
    assert all(kind["sent"] == 100 for kind in kinds.values())
    for kind in ("tags", "shared references", "nested deeply", "a huge length"):
        assert kinds[kind]["refused"] == 100


def test_the_same_seed_makes_the_same_messages() -> None:
    """And a good one is accepted as it is: the faults, not the frame around them, are what is refused."""
    assert hostile_messages(80, seed=3) == hostile_messages(80, seed=3) != hostile_messages(80, seed=4)
    receiver = Receiver()
    list(receiver.take(birth()))
    assert count_accepted(receiver, good_messages(3, seed=0)) == 3

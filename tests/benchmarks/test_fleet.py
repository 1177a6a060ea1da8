"""A simulated fleet on a real broker with TLS, and what it says of larger ones."""

import json
from pathlib import Path

import pytest

from benchmarks.fleet import busiest_part, main
from benchmarks.measuring.fleet_plan import MessageCost, plan_fleet
from edge_runtime.contract.errors import ConfigError


def test_a_small_fleet_is_counted_to_the_last_message(tmp_path: Path) -> None:
    """All but the times, which are of the machine: each message that fell due is sent and received."""
    output = tmp_path / "fleet.json"
    command = ["--nodes", "3", "--rate", "10", "--seconds", "2", "--loads", "1", "--output", str(output)]
    assert main(command) == 0
    record = json.loads(output.read_text())
    [step] = record["steps"]
    assert step["due"] == 3 * 10 * 2
    assert step["lost"] == step["duplicates"] == step["refused"] == step["closed"] == 0
    assert step["unsent"] == step["unacknowledged"] == 0
    assert 1400 < step["bytes_per_message"] < 1700
    assert set(step["cores"]) == {"broker", "receiver", "sender 1"}
    assert step["cpu_us_per_message"]["receiver"] > 0
    assert [plan["nodes"] for plan in record["plans"]] == ([] if step["why"] else [500, 10_000])


def test_a_plan_is_the_cost_of_a_message_times_the_messages() -> None:
    """10,000 nodes x 20 messages/s x 50 us are ten cores, twenty brokers that are half busy."""
    plan = plan_fleet(10_000, MessageCost(broker_us=50.0, receiver_us=100.0, bytes=1500.0), rate=20.0)
    assert (plan.messages_per_s, plan.broker_cores, plan.brokers) == (200_000, 10.0, 20)
    assert (plan.receiver_cores, plan.receivers) == (20.0, 40)
    assert plan.mbit_per_s == pytest.approx(200_000 * 1500 * 8 / 1e6)
    assert plan.gb_per_day == pytest.approx(200_000 * 1500 * 86_400 / 1e9)
    assert plan_fleet(1, MessageCost(1.0, 1.0, 1.0), rate=1.0).brokers == 1


@pytest.mark.parametrize(
    ("cores", "named"),
    [
        ({"broker": 0.97, "receiver": 0.3}, "broker"),
        ({"broker": 0.3, "receiver": 0.9, "sender 1": 0.2}, "receiver"),
        ({"broker": 0.6, "receiver": 0.6, "sender 1": 0.7}, "the machine: 2 cores"),
        ({"broker": 0.1, "receiver": 0.1}, "other programs"),
    ],
)
def test_what_breaks_first_is_the_part_without_time(cores: dict[str, float], named: str) -> None:
    """No part runs on more than one core; the machine has two."""
    assert named in busiest_part(cores, machine=2)


@pytest.mark.parametrize("option", ["--nodes 0", "--nodes 2001", "--rate 0", "--seconds 0", "--loads 0"])
def test_a_load_out_of_bounds_is_refused(option: str) -> None:
    """Before anything starts; the sentence names the option."""
    with pytest.raises(ConfigError, match=option.split()[0]):
        main(option.split())

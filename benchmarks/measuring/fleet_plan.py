"""What a fleet of any size needs, from what one message cost. On paper: nobody ran such a fleet."""

import math
from dataclasses import dataclass

_DAY_S = 86_400
BUSY_AT_MOST = 0.5
"""Share of a core that is planned for: the other half is for peaks, reconnections and a slower day."""


@dataclass(frozen=True)
class MessageCost:
    """What one message of one node cost a part. bytes: of its payload."""

    broker_us: float
    receiver_us: float
    bytes: float


@dataclass(frozen=True)
class FleetPlan:
    """What a fleet needs. brokers, receivers: of one core each, half busy. gb_per_day: of payloads, all day long."""

    nodes: int
    messages_per_s: float
    broker_cores: float
    brokers: int
    receiver_cores: float
    receivers: int
    mbit_per_s: float
    gb_per_day: float


def plan_fleet(nodes: int, cost: MessageCost, *, rate: float) -> FleetPlan:
    """What `nodes` nodes need that each send `rate` messages per second."""
    per_s = nodes * rate
    broker_cores, receiver_cores = per_s * cost.broker_us / 1e6, per_s * cost.receiver_us / 1e6
    return FleetPlan(
        nodes=nodes,
        messages_per_s=per_s,
        broker_cores=round(broker_cores, 3),
        brokers=_count(broker_cores),
        receiver_cores=round(receiver_cores, 3),
        receivers=_count(receiver_cores),
        mbit_per_s=round(per_s * cost.bytes * 8 / 1e6, 1),
        gb_per_day=round(per_s * cost.bytes * _DAY_S / 1e9, 1),
    )


def _count(cores: float) -> int:
    return max(1, math.ceil(cores / BUSY_AT_MOST))

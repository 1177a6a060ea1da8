"""Messages that somebody made to do harm: nothing hangs, nothing is raised, memory stays bounded."""

import json
import random
from collections import Counter
from pathlib import Path

import cbor2
import pytest

from edge_runtime.link.broker import Received
from edge_runtime.link.messages import GapMessage, Vector
from edge_runtime.link.wire_format import encode_message
from edge_runtime.receiver.receiver import Accepted, Noted, Receiver, Refused
from edge_runtime.receiver.sequence import Missing, SequenceTracker
from tests.edge_runtime.receiver.test_receiver import BIRTH, BOOT, NODE, numbered
from tests.support.sample_messages import SPACE, descriptor_message, track_message

COUNT = 12_000
HEADS = [0x9B, 0xBB, 0x5B, 0x7B, 0xDB, 0xFB, 0x1B, 0x9F, 0xBF, 0x5F, 0x7F, 0xFF, 0xD8, 0xC2, 0xDC, 0xF7, 0xF8]
VALUES: list[object] = [
    *(None, True, -1, 0, 2**63, 2**64 - 1, 2**200, -(2**70), 0.0, -0.0, 1e308, float("nan"), float("inf")),
    *("", "\0", "\x1b[2J", "a" * 5_000, "\N{RIGHT-TO-LEFT OVERRIDE}", b"", b"\0" * 4_096),
    *([], {}, [[[[[[]]]]]], {"a": {"b": {"c": {}}}}, [0] * 65, {str(one): one for one in range(65)}, {1: 2}),
    *(cbor2.CBORTag(28, [1]), cbor2.CBORTag(2, b"\xff" * 64), cbor2.undefined, cbor2.CBORSimpleValue(99)),
]


def resident_bytes() -> int:
    """Memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def shared_structure(depth: int) -> bytes:
    """Lists in which each holds the one below twice, by reference: 2^depth items when written out."""
    inner = b"\xd8\x1c\x81\x00"
    for number in range(depth):
        inner = b"\xd8\x1c\x82" + inner + b"\xd8\x1d" + cbor2.dumps(number)
    return inner


def mutate_fields(fields: dict[str, object], rng: random.Random) -> bytes:
    """Another value, or none, for some fields, also inside of the parts; sometimes a field nobody knows."""
    target: dict[str, object] = fields
    if rng.random() < 0.3 and isinstance(fields.get("descriptor"), dict):
        target = fields["descriptor"]  # type: ignore[assignment]
    for name in rng.sample(sorted(target), k=min(len(target), rng.randint(1, 3))):
        if rng.random() < 0.2:
            del target[name]
        else:
            target[name] = rng.choice(VALUES)
    if rng.random() < 0.2:
        target[rng.choice(["unknown", "\x1b]0;", "__class__"])] = rng.choice(VALUES)
    return cbor2.dumps(fields)


def mutate_bytes(payload: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, doubled, and heads of huge or endless items put in between."""
    data = bytearray(payload)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[place:place] = bytes([rng.choice(HEADS)]) + rng.randbytes(rng.choice([0, 1, 8]))
            case 1:
                del data[place : place + rng.randint(1, 40)]
            case 2:
                data[place:place] = data[: rng.randint(0, 200)]
            case 3:
                data[place:place] = rng.choice(
                    [b"\x81" * 500, b"\xa1\x61a" * 200, shared_structure(rng.randint(1, 60))]
                )
            case _:
                data[place : place + 1] = rng.randbytes(1)
    return bytes(data[:200_000])


def mutated(rng: random.Random) -> Received:
    """One message of any kind, mutated, on the topic of its kind or of another one."""
    common = [
        *(f"{NODE}/door/descriptor/{SPACE}", f"{NODE}/door/track", f"{NODE}/gap", f"{NODE}/birth"),
        *(f"{NODE}/status", f"{NODE}/door/status", f"{NODE}/metrics"),
    ]
    strange = [
        *(f"reid/v1/lab/n{rng.randrange(10**6)}/door/track", f"reid/v1/lab/c\x1b[{rng.randrange(99)}m/birth"),
        *(f"reid/v1/lab/identity/{SPACE}", "reid/v2/a/b/status", "a" * 60_000, ""),
    ]
    topic = rng.choice(common if rng.random() < 0.9 else strange)
    json_kind = topic.endswith(("birth", "status", "metrics"))
    if json_kind:
        payload = mutate_bytes(rng.choice([BIRTH.payload, b'{"state": "online"}', b"[" * 50_000, b'{"a":1e999}']), rng)
    else:
        message = rng.choice([descriptor_message, track_message])(seq=rng.randrange(2**64), boot=BOOT)
        fields = message.model_dump()
        if topic.endswith("gap"):
            fields = {"minor": 0, "boot": BOOT, "first": rng.randrange(2**64), "last": 5, "why": "age", "publish_ns": 0}
        payload = mutate_fields(fields, rng) if rng.random() < 0.5 else mutate_bytes(cbor2.dumps(fields), rng)
    return Received(topic, payload, is_retained=rng.random() < 0.3)


def numbered_of(boot: str) -> Received:
    """Number 0 of another run."""
    payload = encode_message(descriptor_message(seq=0, boot=boot))
    return Received(f"{NODE}/door/descriptor/{SPACE}", payload, is_retained=False)


def test_twelve_thousand_mutated_messages_do_no_harm() -> None:
    """Each gives events and nothing else, with texts that can be printed; afterwards a good one is accepted.

    From the first quarter on, memory does not grow by more than 16 MiB.
    """
    rng, receiver = random.Random(13), Receiver()
    list(receiver.take(BIRTH))
    kinds = Counter[str]()
    for number in range(COUNT):
        for event in receiver.take(mutated(rng)):
            kinds[type(event).__name__] += 1
            text = event.why if isinstance(event, Refused) else event.text if isinstance(event, Noted) else ""
            assert text.isprintable()
            assert len(text) < 10_000
        if number == COUNT // 4:
            before = resident_bytes()
    assert resident_bytes() - before < 16 << 20
    assert kinds["Refused"] > COUNT / 2
    assert kinds["Accepted"] > 0
    list(receiver.take(BIRTH))
    event = list(receiver.take(numbered_of("9" * 16)))[-1]  # the number may have been used
    assert isinstance(event, Accepted)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"descriptor": Vector(codec="f16", scale=1.0, length=8, data=bytes(16))}, "not all 0"),
        ({"descriptor": Vector(codec="f16", scale=1.0, length=8, data=b"\x00\x7e" * 8)}, "finite"),
        ({"descriptor": Vector(codec="f16", scale=1.0, length=8, data=b"\x00\x7c" * 8)}, "finite"),
        ({"descriptor": Vector(codec="f32", scale=1e38, length=8, data=b"\xff\xff\x7f\x7f" * 8)}, "finite"),
        ({"descriptor": Vector(codec="i8", scale=0.0, length=8, data=b"\1" * 8)}, "scale above 0"),
        ({"descriptor": Vector(codec="i8", scale=-1.0, length=8, data=b"\1" * 8)}, "scale above 0"),
        ({"descriptor": Vector(codec="i8", scale=1.0, length=4, data=b"\1" * 4)}, "expected 8 numbers"),
        ({"box": (0.5, 0.1, 0.4, 0.9)}, "expected a box"),
        ({"box": (0.1, 0.5, 0.4, 0.4)}, "expected a box"),
    ],
)
def test_what_is_no_vector_or_no_box_is_refused(changes: dict[str, object], said: str) -> None:
    """It would be nobody, or everybody, in each search."""
    receiver = Receiver()
    list(receiver.take(BIRTH))
    (event,) = receiver.take(numbered(3, **changes))
    assert isinstance(event, Refused)
    assert said in event.why


def test_names_made_up_without_end_are_refused_in_the_end() -> None:
    """Ten thousand nodes are remembered; known ones go on."""
    receiver = Receiver()
    list(receiver.take(BIRTH))
    for number in range(10_001):
        (event,) = receiver.take(Received(f"reid/v1/lab/n{number}/metrics", b"{}", is_retained=False))
    assert isinstance(event, Refused)
    assert "making up names" in event.why
    assert isinstance(next(iter(receiver.take(numbered(0)))), Accepted)


def test_messages_without_a_birth_do_not_fill_the_memory() -> None:
    """Sixty-four MiB wait for births, of all nodes together; what comes then is refused."""
    receiver = Receiver()
    payload = encode_message(descriptor_message()) + bytes(1 << 20)
    events = [
        event
        for number in range(70)
        for event in receiver.take(Received(f"reid/v1/lab/n{number}/door/track", payload, is_retained=False))
    ]
    assert len(events) == 7
    assert receiver.is_holding()
    receiver.forget_held()
    assert not receiver.is_holding()


def test_many_gaps_are_summed_up_in_order() -> None:
    """Each hole has the reason of the gap that names it, also where gaps overlap or nobody named it."""
    tracker = SequenceTracker()
    for seq in range(0, 40_000, 2):
        tracker.add(BOOT, seq)
        tracker.add_gap(Missing(seq + 1, seq + 1, "age" if seq % 4 else "disk"), boot=BOOT)
    tracker.add_gap(Missing(0, 39_999, "overflow"), boot=BOOT)
    missing = tracker.missing()
    assert len(missing) == 20_000
    assert missing[:2] == [Missing(1, 1, "disk"), Missing(3, 3, "age")]
    tracker.add(BOOT, 50_000)
    assert tracker.missing()[-1] == Missing(40_000, 49_999, None)


def test_a_gap_message_and_a_retained_copy_of_anything_are_no_harm() -> None:
    """A broker may keep what a hostile client asked it to keep."""
    receiver = Receiver()
    gap = GapMessage(boot=BOOT, first=0, last=2**64 - 1, why="lost", publish_ns=0)
    events = list(receiver.take(Received(f"{NODE}/gap", encode_message(gap), is_retained=True)))
    assert [type(event) for event in events] == [Noted]
    deep = (
        json.dumps({"boot": BOOT, "node_card": {}, "models": []})[:-1] + ', "x": ' + "[" * 90_000 + "]" * 90_000 + "}"
    )
    (event,) = receiver.take(Received(f"{NODE}/birth", deep.encode(), is_retained=True))
    assert isinstance(event, Refused)

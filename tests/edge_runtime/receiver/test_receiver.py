"""The receiving side: what it accepts, what it refuses, and how it sums up."""

import json
import time

import cbor2
import pytest

from edge_runtime.link.broker import Received
from edge_runtime.link.messages import Birth, CameraStatus, GapMessage, Message, ModelCard, NodeStatus, Vector
from edge_runtime.link.wire_format import encode_message
from edge_runtime.receiver.receiver import Accepted, Noted, Receiver, Refused
from edge_runtime.receiver.sequence import Missing
from tests.support.sample_messages import FOREIGN_SPACE, MANIFEST, SPACE, descriptor_message, track_message

NODE = "reid/v1/lab/cam"
BOOT = "1" * 16
BIRTH = Received(
    f"{NODE}/birth",
    Birth(boot=BOOT, node_card={}, models=(ModelCard.of(MANIFEST),)).model_dump_json().encode(),
    is_retained=True,
)


def received(message: Message, *, space: str = SPACE) -> Received:
    """A descriptor as it comes from the broker."""
    return Received(f"{NODE}/door/descriptor/{space}", encode_message(message), is_retained=False)


def numbered(seq: int, **changes: object) -> Received:
    """A descriptor with a number."""
    return received(descriptor_message(seq=seq, boot=BOOT, publish_ns=time.time_ns(), **changes))


def status(state: str, *, boot: str = BOOT, oldest: int | None = None, is_retained: bool = False) -> Received:
    """A node's status."""
    fields = {"state": state, "boot": boot, "oldest_seq": oldest, "next_seq": oldest}
    return Received(f"{NODE}/status", NodeStatus.model_validate(fields).model_dump_json().encode(), is_retained)


@pytest.fixture
def receiver() -> Receiver:
    """A receiver that has read the node's birth."""
    receiver = Receiver()
    assert [type(event) for event in receiver.take(BIRTH)] == [Noted]
    return receiver


def test_a_message_is_accepted_with_its_topic(receiver: Receiver) -> None:
    """Site, node and camera come from the topic, all else from the payload."""
    (event,) = receiver.take(numbered(0))
    assert isinstance(event, Accepted)
    assert (event.topic.site, event.topic.node, event.topic.camera) == ("lab", "cam", "door")


def test_a_space_the_birth_does_not_name_is_refused(receiver: Receiver) -> None:
    """It is counted, and its number counts as arrived."""
    (event,) = receiver.take(received(descriptor_message(space=FOREIGN_SPACE), space=FOREIGN_SPACE))
    assert isinstance(event, Refused)
    assert FOREIGN_SPACE in event.why
    assert SPACE in event.why
    summary = receiver.summary()
    assert (summary.refused, summary.descriptors, summary.is_complete) == (1, 0, True)


def test_a_space_that_differs_from_its_topic_is_refused(receiver: Receiver) -> None:
    """An access rule on the topic must not be cheated by the payload."""
    (event,) = receiver.take(received(descriptor_message(space=FOREIGN_SPACE), space=SPACE))
    assert isinstance(event, Refused)


def test_only_the_wanted_space_is_accepted() -> None:
    """`--space` refuses all others, though the birth names them; tracks too."""
    receiver = Receiver(FOREIGN_SPACE)
    list(receiver.take(BIRTH))
    track = Received(f"{NODE}/door/track", encode_message(track_message(seq=1)), is_retained=False)
    for message in (numbered(0), track):
        (event,) = receiver.take(message)
        assert isinstance(event, Refused)
        assert "cannot be compared with yours" in event.why


def test_messages_wait_for_the_birth() -> None:
    """A broker may hand out what it kept for us before the retained birth."""
    receiver = Receiver()
    assert list(receiver.take(numbered(0))) == []
    events = list(receiver.take(BIRTH))
    assert [type(event) for event in events] == [Noted, Accepted]


def test_messages_without_a_birth_are_refused_in_the_end() -> None:
    """Nothing is compared that cannot be verified."""
    receiver = Receiver()
    assert list(receiver.take(numbered(0))) == []
    (event,) = receiver.finish()
    assert isinstance(event, Refused)
    assert receiver.summary().refused == 1


def test_gaps_and_doubles_are_found(receiver: Receiver) -> None:
    """A number that lacks is named, with the node's reason if it gave one; a double is dropped."""
    for seq in (0, 1, 3, 3, 7):
        list(receiver.take(numbered(seq)))
    gap = GapMessage(boot=BOOT, first=4, last=5, why="overflow", publish_ns=0)
    list(receiver.take(Received(f"{NODE}/gap", encode_message(gap), is_retained=False)))
    summary = receiver.summary()
    assert (summary.descriptors, summary.duplicates, summary.is_complete) == (4, 1, False)
    assert summary.nodes[0].missing == (Missing(2, 2, None), Missing(4, 5, "overflow"), Missing(6, 6, None))


def test_numbers_before_the_first_arrival_are_due_if_the_node_announced_them(receiver: Receiver) -> None:
    """`online` says which numbers still come, `stopped` how many there were."""
    list(receiver.take(status("online", oldest=2)))
    list(receiver.take(numbered(4)))
    list(receiver.take(status("stopped", oldest=6)))
    assert receiver.summary().nodes[0].missing == (Missing(2, 3, None), Missing(5, 5, None))


def test_a_retained_status_makes_nothing_due(receiver: Receiver) -> None:
    """What was due when it was said may have gone to others."""
    list(receiver.take(status("online", oldest=2, is_retained=True)))
    list(receiver.take(numbered(4)))
    assert receiver.summary().is_complete


def test_a_node_has_ended_when_it_says_so(receiver: Receiver) -> None:
    """Not when an old retained word of another run is found, and not any more once it is back."""
    list(receiver.take(status("stopped", boot="0" * 16, oldest=9, is_retained=True)))
    assert not receiver.has_ended()
    list(receiver.take(status("online", oldest=0)))
    assert not receiver.has_ended()
    list(receiver.take(status("offline")))
    assert not receiver.has_ended(), "the broker was restarted, or the node will be"
    list(receiver.take(status("stopped", oldest=0)))
    assert receiver.has_ended()
    list(receiver.take(status("online", boot="2" * 16, oldest=0)))
    assert not receiver.has_ended()


def test_a_number_of_another_boot_that_was_used_before_is_told(receiver: Receiver) -> None:
    """It is accepted, and the loss of the node's spool is told."""
    list(receiver.take(numbered(0)))
    events = list(receiver.take(received(descriptor_message(boot="2" * 16, seq=0))))
    assert [type(event) for event in events] == [Noted, Accepted]
    assert receiver.summary().reused == 1


def test_a_vector_of_another_length_than_it_says_is_refused(receiver: Receiver) -> None:
    """Bytes that do not fit codec and length are a damaged message."""
    broken = Vector(codec="f16", scale=1.0, length=9, data=b"\0" * 16)
    (event,) = receiver.take(received(descriptor_message(descriptor=broken)))
    assert isinstance(event, Refused)
    assert "damaged" in event.why


def test_a_newer_node_is_understood(receiver: Receiver) -> None:
    """A higher minor version and fields that we do not know change nothing in what we know."""
    fields = descriptor_message(seq=0).model_dump() | {"minor": 3, "overlap": 0.25}
    (event,) = receiver.take(Received(f"{NODE}/door/descriptor/{SPACE}", cbor2.dumps(fields), is_retained=False))
    assert isinstance(event, Accepted)
    state = NodeStatus(state="stopped", boot=BOOT, oldest_seq=1, next_seq=1).model_dump() | {"minor": 3, "load": 0.5}
    (event,) = receiver.take(Received(f"{NODE}/status", json.dumps(state).encode(), is_retained=False))
    assert isinstance(event, Noted)
    assert receiver.has_ended()
    assert receiver.summary().refused == 0


def test_a_node_of_another_major_version_is_refused(receiver: Receiver) -> None:
    """Its messages may mean something else."""
    payload = encode_message(descriptor_message())
    (event,) = receiver.take(Received(f"reid/v2/lab/cam/door/descriptor/{SPACE}", payload, is_retained=False))
    assert isinstance(event, Refused)
    assert "expected v1" in event.why
    assert receiver.summary().descriptors == 0


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (f"{NODE}/door/descriptor/{SPACE}", b"rubbish"),
        (f"{NODE}/door/status", b"\x1b[2J"),
        (f"{NODE}/metrics", b"[1]"),
        (f"{NODE}/birth", b"{}"),
        (f"{NODE}/status", b"\xff"),
        (f"{NODE}/gap", b""),
        ("reid/v1/lab", b""),
    ],
)
def test_rubbish_is_refused_and_counted(receiver: Receiver, topic: str, payload: bytes) -> None:
    """No payload ends the listener."""
    (event,) = receiver.take(Received(topic, payload, is_retained=False))
    assert isinstance(event, Refused)
    assert receiver.summary().refused == 1


def test_the_summary_counts_what_came(receiver: Receiver) -> None:
    """Bytes per descriptor message, and latency of live messages only, without what was waited for a better moment."""
    track = descriptor_message().track
    now = time.time_ns()
    for seq, (age_ms, waited_ms, is_historical) in enumerate([(10, 0, False), (530, 500, False), (9000, 0, True)]):
        times = {"capture_ns": now - age_ms * 1_000_000, "publish_ns": now, "waited_ns": waited_ms * 1_000_000 or None}
        list(receiver.take(received(descriptor_message(seq=seq, track=track, historical=is_historical, **times))))
    camera = CameraStatus(state="live", why="").model_dump_json().encode()
    list(receiver.take(Received(f"{NODE}/door/status", camera, is_retained=True)))
    summary = receiver.summary()
    assert (summary.messages, summary.descriptors, summary.tracks, summary.historical) == (3, 3, 1, 1)
    assert (summary.latency_p50_ms, summary.latency_p95_ms) == (10, 30)
    assert summary.bytes_per_descriptor is not None
    assert 300 < summary.bytes_per_descriptor < 700

"""One camera from detections to messages, with a scripted camera."""

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode, normalise
from edge_runtime.link.messages import DescriptorMessage, Message, TrackMessage
from edge_runtime.link.wire_format import decode_message, encode_message
from edge_runtime.looking import Look
from edge_runtime.stream import CameraStream, Sighting, StreamCounts
from tests.support.sample_messages import DESCRIPTOR, MANIFEST
from tests.support.scripted import HEIGHT_PX, STEP_NS, WIDTH_PX, ScriptedDetector, ScriptedSource, scripted_stream

ANN, BOB = (40.0, 20.0, 100.0, 180.0), (300.0, 20.0, 360.0, 180.0)


def follow(stream: CameraStream) -> Sighting:
    """Look at the next frame and follow its people."""
    frame = stream.source.read()
    assert frame is not None
    return stream.follow(Look(frame, tuple(ScriptedDetector().detect(frame.pixels)), busy_s=0.001))


def step(stream: CameraStream, descriptors: NDArray[np.float32] | None = None) -> list[Message]:
    """Process one frame; those who are due get the given descriptors, or all the same one."""
    sighting = follow(stream)
    if descriptors is None:
        descriptors = np.eye(1, DESCRIPTOR.length, dtype=np.float32).repeat(len(sighting.crops), axis=0)
    return stream.make_messages(sighting, descriptors)


def told(messages: list[Message]) -> list[str]:
    """What kinds of messages these are, in order."""
    return [message.kind if isinstance(message, DescriptorMessage) else message.event for message in messages]


def random_unit(rng: np.random.Generator) -> NDArray[np.float32]:
    """A random descriptor, (1, length)."""
    return normalise(rng.standard_normal((1, DESCRIPTOR.length)).astype(np.float32))


def test_a_track_starts_is_described_and_ends() -> None:
    """One start with the first descriptor, descriptors under the same id, and one end after a second of absence."""
    source = ScriptedSource(people=[ANN])
    stream = scripted_stream(source)
    first = step(stream)
    second = step(stream)
    assert (told(first), told(second)) == (["start", "crop"], ["crop"])
    source.people.clear()
    rest = [message for _ in range(15) for message in step(stream)]
    assert told(rest) == ["end"]
    assert len({message.track for message in first + second + rest}) == 1
    source.people.append(ANN)
    assert {message.track for message in step(stream)}.isdisjoint({message.track for message in rest})


def test_the_memory_of_ended_tracks_is_released() -> None:
    """A camera sees thousands of people a day, for months."""
    source = ScriptedSource()
    stream = scripted_stream(source)
    for _ in range(5):
        source.people.append(ANN)
        step(stream)
        source.people.clear()
        for _ in range(15):
            step(stream)
    assert stream.counts.tracks == 5
    assert not stream._people


def test_a_track_that_is_not_confirmed_makes_no_message() -> None:
    """One detection where two are required may be a false alarm."""
    source = ScriptedSource()
    stream = scripted_stream(source, flicker_s=0.15)
    said = step(stream)
    source.people.append(ANN)
    said += step(stream)
    source.people.clear()
    assert said + [message for _ in range(15) for message in step(stream)] + stream.end_tracks() == []
    assert stream.counts == StreamCounts(frames=17, people=0, tracks=0, descriptors=0)


def test_a_track_is_described_when_it_is_due() -> None:
    """Every 0.3 s of the frames' time, counted for each track from its own first descriptor."""
    source = ScriptedSource(people=[ANN])
    stream = scripted_stream(source, every_s=0.3)
    numbers = []
    for frame in range(8):
        if frame == 2:
            source.people.append(BOB)
        numbers.append(told(step(stream)).count("crop"))
    assert numbers == [1, 0, 1, 1, 0, 1, 1, 0]


def test_a_track_that_goes_on_makes_a_message_every_five_seconds() -> None:
    """With the number of crops so far; its descriptor comes at the end only."""
    stream = scripted_stream(ScriptedSource(people=[ANN]), every_s=100)
    updates = [(frame, message) for frame in range(120) for message in step(stream) if told([message]) == ["update"]]
    assert [frame for frame, _ in updates] == [50, 100]
    for _, message in updates:
        assert isinstance(message, TrackMessage)
        assert (message.crops, message.descriptor) == (1, None)


def test_the_end_carries_the_mean_of_all_descriptors_and_their_dispersion() -> None:
    """Checked against the definition: the mean cosine distance from the normalised mean."""
    rng = np.random.default_rng(0)
    stream = scripted_stream(ScriptedSource(people=[ANN]))
    rows = [random_unit(rng) for _ in range(7)]
    for row in rows:
        step(stream, row)
    (end,) = stream.end_tracks()
    assert isinstance(end, TrackMessage)
    assert end.descriptor is not None
    total = sum(rows[1:], rows[0])[0]
    mean = total / np.linalg.norm(total)
    np.testing.assert_allclose(decode(end.descriptor.encoded()), mean, atol=1e-6)
    distances = [1 - sum(float(x) * float(y) for x, y in zip(row[0], mean, strict=True)) for row in rows]
    assert end.dispersion == pytest.approx(sum(distances) / len(distances), abs=1e-6)
    assert end.crops == 7


def test_each_person_gets_the_descriptor_of_the_own_crop() -> None:
    """Crops, descriptors and messages are in the same order, whichever tracks are due."""
    rng = np.random.default_rng(1)
    stream = scripted_stream(ScriptedSource(people=[ANN, BOB]))
    rows = np.concatenate([random_unit(rng), random_unit(rng)])
    described = [message for message in step(stream, rows) if isinstance(message, DescriptorMessage)]
    for message, row, box in zip(described, rows, (ANN, BOB), strict=True):
        np.testing.assert_allclose(decode(message.descriptor.encoded()), row, atol=1e-6)
        left, top, right, bottom = message.box
        assert (left * WIDTH_PX, top * HEIGHT_PX, right * WIDTH_PX, bottom * HEIGHT_PX) == pytest.approx(box)


def test_times_model_and_frame_are_those_of_the_observation() -> None:
    """A message has the values of frame and manifest, and can be encoded and decoded."""
    stream = scripted_stream(ScriptedSource(people=[ANN]))
    step(stream)
    (message,) = step(stream)
    assert (message.capture_ns, message.monotonic_ns) == (10**18 + 2 * STEP_NS, 2 * STEP_NS)
    assert (message.time_source, message.uncertainty_ns) == ("arrival", 7)
    assert (message.space, message.model, message.precision) == (MANIFEST.space_id, MANIFEST.model_id, "fp32")
    assert (message.frame_height_px, message.frame_width_px) == (HEIGHT_PX, WIDTH_PX)
    assert decode_message(encode_message(message), leaf="descriptor") == message


def test_an_end_says_where_and_when_the_person_was_last_seen() -> None:
    """Not when the track was given up."""
    source = ScriptedSource(people=[ANN])
    stream = scripted_stream(source)
    (_, last) = step(stream)
    source.people.clear()
    step(stream)
    (end,) = stream.end_tracks()
    assert (end.capture_ns, end.box) == (last.capture_ns, last.box)


def test_quality_is_size_sharpness_and_what_the_frame_cuts_off() -> None:
    """The height in pixels of the frame; a quarter for each edge of the frame that the box touches."""
    stream = scripted_stream(ScriptedSource(people=[ANN, (0.0, 0.0, 60.0, 160.0)]))
    cut, inside = (message.quality for message in step(stream) if isinstance(message, DescriptorMessage))
    assert (inside.size_px, inside.truncation) == (160, 0)
    assert (cut.size_px, cut.truncation) == (160, 0.5)
    assert inside.blur > 0


def test_counts_add_up() -> None:
    """People are summed over frames, tracks and descriptors once each."""
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source, every_s=0.2)
    for _ in range(3):
        step(stream)
    source.people.remove(BOB)
    step(stream)
    assert stream.counts == StreamCounts(frames=4, people=7, tracks=2, descriptors=4)


def test_a_frame_without_people_counts_and_makes_no_message() -> None:
    """An empty scene makes an empty batch of crops of the engine's shape."""
    stream = scripted_stream(ScriptedSource())
    sighting = follow(stream)
    assert sighting.crops.shape == (0, MANIFEST.input.height_px, MANIFEST.input.width_px, 3)
    assert stream.make_messages(sighting, np.empty((0, DESCRIPTOR.length), np.float32)) == []
    assert stream.counts.frames == 1

"""One camera from detections to messages, with a scripted camera."""

import logging

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode, normalise
from edge_runtime.contract.preprocess import Box
from edge_runtime.link.messages import DescriptorMessage, Message, TrackMessage
from edge_runtime.link.wire_format import decode_message, encode_message
from edge_runtime.streams.looking import Look
from edge_runtime.streams.stream import CameraStream, Sighting, StreamCounts
from tests.support.sample_messages import DESCRIPTOR, MANIFEST
from tests.support.scripted import HEIGHT_PX, STEP_NS, WIDTH_PX, ScriptedDetector, ScriptedSource, scripted_stream

ANN, BOB = (40.0, 20.0, 100.0, 180.0), (300.0, 20.0, 360.0, 180.0)


def sight(stream: CameraStream) -> Sighting:
    """Look at the next frame."""
    frame = stream.source.read()
    assert frame is not None
    return stream.sight(Look(frame, tuple(ScriptedDetector().detect(frame.pixels)), busy_s=0.001))


def same(count: int) -> NDArray[np.float32]:
    """The same descriptor so many times."""
    return np.eye(1, DESCRIPTOR.length, dtype=np.float32).repeat(count, axis=0)


def step(stream: CameraStream, descriptors: NDArray[np.float32] | None = None) -> list[Message]:
    """Process one frame; those who are due get the given descriptors, or all the same one."""
    sighting = sight(stream)
    return stream.follow(sighting, same(len(sighting.crops)) if descriptors is None else descriptors)


def end(stream: CameraStream) -> list[Message]:
    """End all tracks."""
    return stream.end_tracks(same(len(stream.last_crops())))


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
    assert said + [message for _ in range(15) for message in step(stream)] + end(stream) == []
    assert stream.counts == StreamCounts(frames=17, people=0, tracks=0, descriptors=0, described=0)


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
    (ending,) = end(stream)
    assert isinstance(ending, TrackMessage)
    assert ending.descriptor is not None
    total = sum(rows[1:], rows[0])[0]
    mean = total / np.linalg.norm(total)
    np.testing.assert_allclose(decode(ending.descriptor.encoded()), mean, atol=1e-6)
    distances = [1 - sum(float(x) * float(y) for x, y in zip(row[0], mean, strict=True)) for row in rows]
    assert ending.dispersion == pytest.approx(sum(distances) / len(distances), abs=1e-6)
    assert ending.crops == 7


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
    (ending,) = end(stream)
    assert (ending.capture_ns, ending.box) == (last.capture_ns, pytest.approx(last.box))


def test_quality_is_size_sharpness_and_what_the_frame_cuts_off() -> None:
    """The height in pixels of the frame; a quarter for each edge of the frame that the box touches; and one number."""
    stream = scripted_stream(ScriptedSource(people=[ANN, (300.0, 0.0, 370.0, 160.0)]))
    inside, cut = (message.quality for message in step(stream) if isinstance(message, DescriptorMessage))
    assert (inside.size_px, inside.truncation, inside.value) == (160, 0, pytest.approx(0.9))
    assert (cut.size_px, cut.truncation, cut.value) == (160, 0.25, pytest.approx(0.75 * 0.9))
    assert min(inside.blur, inside.sharpness or 0.0) > 0
    assert inside.overlap == 0


def beside_ann(shift: float) -> Box:
    """Somebody whose box begins so many pixels right of Ann's."""
    return (ANN[0] + shift, ANN[1], ANN[2] + shift, ANN[3])


def test_a_good_moment_is_waited_for() -> None:
    """Half a second at most for each descriptor, then the best moment since; it is told with its own time and box."""
    source = ScriptedSource(people=[ANN, beside_ann(25)])
    stream = scripted_stream(source, every_s=0.5)
    assert told(step(stream)) == ["start", "start"]
    source.people[1] = beside_ann(50)  # a sixth of Ann is hidden: not good, but the best so far
    assert told(step(stream)) == []
    source.people[1] = beside_ann(25)
    later = [message for _ in range(4) for message in step(stream)]
    assert told(later) == ["crop", "crop"]
    assert {message.monotonic_ns for message in later} == {2 * STEP_NS}
    assert {message.waited_ns for message in later if isinstance(message, DescriptorMessage)} == {4 * STEP_NS}
    source.people[1] = beside_ann(70)
    assert told([message for _ in range(5) for message in step(stream)]) == ["crop", "crop"]


def test_who_is_never_seen_well_is_described_once_at_the_end() -> None:
    """No descriptor stands alone, but the end has one, of the best moment, and says how bad that was."""
    source = ScriptedSource(people=[ANN, (60.0, 30.0, 80.0, 90.0)])  # somebody far behind Ann
    stream = scripted_stream(source, every_s=0.1)
    said = [message for _ in range(20) for message in step(stream)]
    assert stream.counts.described == 0
    source.people.clear()
    said += [message for _ in range(15) for message in step(stream)]
    assert told(said) == ["start", "start", "end", "end"]
    assert stream.counts.described == 2
    for message in said[2:]:
        assert isinstance(message, TrackMessage)
        assert message.descriptor is not None
        assert (message.crops, message.quality) == (1, 0)


def test_the_last_moments_are_described_when_the_camera_stops() -> None:
    """A track that waits for a better moment does not end without a descriptor."""
    stream = scripted_stream(ScriptedSource(people=[ANN, beside_ann(50)]), every_s=10)
    step(stream)
    rows = np.concatenate([random_unit(np.random.default_rng(number)) for number in range(2)])
    assert len(stream.last_crops()) == 2
    messages = stream.end_tracks(rows)
    assert told(messages) == ["crop", "crop", "end", "end"]
    for message, row in zip(messages[2:], rows, strict=True):
        assert message.descriptor is not None
        np.testing.assert_allclose(decode(message.descriptor.encoded()), row, atol=1e-6)


def test_the_mean_is_weighed_by_quality() -> None:
    """Of two descriptors the one of the better moment counts more, by as much as its quality is higher."""
    source = ScriptedSource(people=[ANN])
    stream = scripted_stream(source)
    rows = [random_unit(np.random.default_rng(number)) for number in range(2)]
    qualities = []
    for row, others in zip(rows, ([], [beside_ann(50)]), strict=True):
        source.people[1:] = others
        messages = step(stream, np.concatenate([row, *[random_unit(np.random.default_rng(9))] * len(others)]))
        [quality] = [one.quality.value for one in messages if isinstance(one, DescriptorMessage)][:1]
        qualities.append(quality or 0.0)
    assert qualities[0] > qualities[1] > 0
    ending = next(message for message in end(stream) if isinstance(message, TrackMessage))
    assert ending.descriptor is not None
    total = qualities[0] * rows[0][0] + qualities[1] * rows[1][0]
    np.testing.assert_allclose(decode(ending.descriptor.encoded()), total / np.linalg.norm(total), atol=1e-6)
    assert ending.quality == pytest.approx(qualities[0])


def test_who_is_unclear_is_described_before_the_update_and_not_twice() -> None:
    """Two people so near to each other that places cannot tell them apart: one batch serves following and telling."""
    source = ScriptedSource(people=[ANN, beside_ann(62)])
    stream = scripted_stream(source)
    for _ in range(5):
        step(stream)
    source.people = [beside_ann(30), beside_ann(32)]
    sighting = sight(stream)
    assert sorted(sighting.rows) == [0, 1]
    assert len(sighting.crops) == 2
    stream.follow(sighting, same(2))
    assert not any(len(sight(stream).crops) > 2 for _ in range(2)), "a moment that is described is not described again"


def test_a_camera_that_gets_too_few_looks_describes_nobody_only_to_follow_her() -> None:
    """Time is short then; moments are described as before."""
    source = ScriptedSource(people=[beside_ann(0), beside_ann(2)])
    stream = scripted_stream(source)
    step(stream)
    assert len(sight(stream).crops) == 2
    stream.pace.is_behind = True
    assert len(sight(stream).crops) == 0


@pytest.mark.parametrize(("units", "verdict"), [(2, "help to follow them"), (1, "are not used to follow them")])
def test_it_is_said_once_whether_descriptors_help(units: int, verdict: str, caplog: pytest.LogCaptureFixture) -> None:
    """As soon as enough was seen, with the figure; a network that describes everybody alike does not help."""
    caplog.set_level(logging.INFO)
    stream = scripted_stream(ScriptedSource(people=[ANN, BOB]))
    rows = np.eye(2, DESCRIPTOR.length, dtype=np.float32)[[0, units - 1]]
    step(stream, rows)
    assert stream.sensitivity is None
    for _ in range(80):
        step(stream, rows)
    assert stream.sensitivity is not None
    [line] = [message for message in caplog.messages if "descriptors" in message]
    assert line.startswith("camera door: descriptors tell people apart by d' ")
    assert verdict in line


def test_a_track_that_carries_on_an_earlier_one_says_so() -> None:
    """At once, and in every later message: receivers may miss one."""
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source)
    units = np.eye(DESCRIPTOR.length, dtype=np.float32)

    def look() -> list[Message]:
        sighting = sight(stream)
        held = [0 if stream._people[id_] is first else 1 for id_ in sighting.held] if sighting.held else []
        places = [0 if source.people[index] == ANN else 1 for index in sighting.rows]
        return stream.follow(sighting, units[[*places, *held]])

    first: object = None
    said = [message for _ in range(60) for message in look()]
    ann = next(message.track for message in said if message.box[0] < 0.5)
    source.people = [BOB]
    away = [message for _ in range(30) for message in look()]
    assert [message.track for message in away if told([message]) == ["end"]] == [ann]
    source.people = [BOB, ANN]
    back = [message for _ in range(4) for message in look()]
    [start, update] = [one for one in back if isinstance(one, TrackMessage) and one.track not in (ann, said[1].track)]
    assert (start.event, update.event) == ("start", "update")
    assert start.continues is None
    assert update.continues == ann
    assert start.track == update.track != ann
    endings = {one.track: one.continues for one in end(stream) if isinstance(one, TrackMessage)}
    assert endings[update.track] == ann


def test_counts_add_up() -> None:
    """People are summed over frames, tracks and descriptors once each."""
    source = ScriptedSource(people=[ANN, BOB])
    stream = scripted_stream(source, every_s=0.2)
    for _ in range(3):
        step(stream)
    source.people.remove(BOB)
    step(stream)
    assert stream.counts == StreamCounts(frames=4, people=7, tracks=2, descriptors=4, described=4)


def test_a_frame_without_people_counts_and_makes_no_message() -> None:
    """An empty scene makes an empty batch of crops of the engine's shape."""
    stream = scripted_stream(ScriptedSource())
    sighting = sight(stream)
    assert sighting.crops.shape == (0, MANIFEST.input.height_px, MANIFEST.input.width_px, 3)
    assert stream.follow(sighting, np.empty((0, DESCRIPTOR.length), np.float32)) == []
    assert stream.counts.frames == 1

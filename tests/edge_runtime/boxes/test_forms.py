"""Each form of message about boxes, as others document it, is read into the same few facts."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.boxes import plain_boxes
from edge_runtime.boxes.catalog import FORMS, BoxSettings
from edge_runtime.boxes.given_boxes import GivenBox, utc_ns
from edge_runtime.boxes.given_people import GivenPeople
from edge_runtime.boxes.plain_boxes import box_schema
from edge_runtime.config import read_config
from edge_runtime.contract.errors import ConfigError, DataError
from tests.support import box_messages as sent
from tests.support.box_messages import NOON_NS, PIXELS, SHARES, encoded

SAMPLES = {
    "plain": encoded(sent.plain()),
    "frigate": encoded(sent.frigate()),
    "deepstream": encoded(sent.deepstream_minimal()),
    "onvif": sent.onvif_xml(),
    "axis": encoded(sent.axis()),
}
OTHERS = {
    "deepstream": [encoded(sent.deepstream_full())],
    "onvif": [sent.onvif_xml(transformed=True), encoded(sent.onvif_json())],
    "axis": [encoded(sent.axis_beta()), encoded({"data": sent.axis_beta()})],
}
SCHEMA = json.loads(Path(plain_boxes.__file__).with_name("boxes.schema.json").read_text())


def settings(form: str, **changes: Any) -> BoxSettings:
    """What a camera needs for a form."""
    size = {"width_px": 1280, "height_px": 720} if FORMS[form].is_in_pixels else {}
    return BoxSettings(form, "boxes/#", **(size | changes))


def people(form: str) -> GivenPeople:
    """The people of camera `door`."""
    return GivenPeople(settings(form), camera_id="door")


def test_every_form_has_a_sample() -> None:
    """A new row comes with its test."""
    assert SAMPLES.keys() == FORMS.keys()


@pytest.mark.parametrize(
    ("form", "payload"), [*SAMPLES.items(), *((form, one) for form, more in OTHERS.items() for one in more)]
)
def test_who_is_where_and_when_is_the_same_in_every_form(form: str, payload: bytes) -> None:
    """One person at one place at noon; what is no person, or has no box, is left out."""
    reader = people(form)
    [found] = reader.read(payload)
    [person] = found.people
    assert found.capture_ns == NOON_NS
    assert person.box == pytest.approx(SHARES)
    assert person.score == 0.75
    assert person.given_id == ("1767268795.5-q1w2e3" if form == "frigate" else "7")
    assert (reader.counts.messages, reader.counts.faulty, reader.fault) == (1, 0, None)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "payload",
    [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000, b"7", b"x" * (2 << 20), b"<a/"],
    ids=["empty", "cut", "list", "object", "null", "no text", "nested list", "nested", "number", "large", "tag"],
)
def test_what_is_no_message_is_one_sentence(form: str, payload: bytes) -> None:
    """Counted, and nothing else comes of it. An object of ONVIF's without a frame is a message: it may be an event."""
    reader = people(form)
    assert reader.read(payload) == []
    if (form, payload) == ("onvif", b"{}"):
        return
    assert reader.counts.faulty == 1
    assert reader.fault is not None
    assert reader.fault.startswith(f"a message of form {form} on boxes/# cannot be used: ")
    assert len(reader.fault) < 500


@pytest.mark.parametrize("form", FORMS)
@given(st.data())
def test_a_message_that_was_damaged_harms_nothing(form: str, data: st.DataObject) -> None:
    """Whatever bytes change, it is read or it is faulty."""
    payload = bytearray(SAMPLES[form])
    for _ in range(data.draw(st.integers(1, 4))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    reader = people(form)
    reader.read(bytes(payload))
    assert reader.counts.messages + reader.counts.faulty <= 1


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("2026-01-01T12:00:00Z", 0),
        ("2026-01-01T12:00:00", 0),
        ("2026-01-01T13:30:00.5+01:30", 500_000_000),
        ("2026-01-01T12:00:00.123456Z", 123_456_000),
        ("2026-01-01T12:00:00.1234567891Z", 123_456_789),
    ],
)
def test_a_time_is_exact(text: str, nanoseconds: int) -> None:
    """To the nanosecond, in any zone; without one it is UTC, as ONVIF's own example has it."""
    assert utc_ns(text) == NOON_NS + nanoseconds


@pytest.mark.parametrize("text", ["noon", "2026-13-01T12:00:00Z", "2026-01-01", "", 5, None])
def test_what_is_no_time_is_refused(text: object) -> None:
    """By a ValueError, of which the reader makes its sentence."""
    with pytest.raises(ValueError, match=r"expected a time|month must be"):
        utc_ns(text)


def test_plain_boxes_may_be_in_pixels() -> None:
    """Where the message has the size of the frame: both sides, or none."""
    box = {"box": list(PIXELS), "score": 1, "track": "7"}
    [found] = people("plain").read(encoded(sent.plain(frame_width_px=1280, frame_height_px=720, boxes=[box])))
    assert found.people[0].box == pytest.approx(SHARES)
    reader = people("plain")
    reader.read(encoded(sent.plain(frame_width_px=1280, boxes=[box])))
    assert "expected both frame_width_px and frame_height_px" in str(reader.fault)
    reader.read(encoded(sent.plain(boxes=[box])))
    assert "expected shares of the picture" in str(reader.fault)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"later": 1},
        {"boxes": []},
        {"frame_width_px": 9, "frame_height_px": 9},
        {"frame_width_px": 9},
        {"camera": ""},
        {"camera": None},
        {"capture_ns": -1},
        {"capture_ns": "5"},
        {"boxes": [{"box": [0, 0, 1], "score": 1}]},
        {"boxes": [{"box": [0, 0, 1, 1]}]},
        {"boxes": [{"box": [0, 0, 1, 1], "score": 1.5}]},
        {"boxes": [{"box": [0, 0, 1, 1], "score": 1, "track": 5}]},
        {"boxes": [{"box": [0, 0, 1, 1], "score": 1}] * 257},
    ],
    ids=str,
)
def test_the_committed_schema_and_the_reader_agree(changes: dict[str, Any]) -> None:
    """`python tests/golden/wire_messages.py` writes the schema again."""
    message = sent.plain(**changes)
    is_valid = jsonschema.Draft202012Validator(SCHEMA).is_valid(message)
    try:
        plain_boxes.read_plain(encoded(message))
    except DataError:
        assert not is_valid
    else:
        assert is_valid


def test_the_committed_schema_of_boxes_is_the_one_in_use() -> None:
    """The same fields, required and optional, with any version of pydantic."""
    current = box_schema()
    for one, other in ((SCHEMA, current), (SCHEMA["$defs"]["PlainBox"], current["$defs"]["PlainBox"])):
        assert one["properties"].keys() == other["properties"].keys()
        assert one["required"] == other["required"]
    assert SCHEMA["dependentRequired"] == current["dependentRequired"]


def test_frigate_tells_no_box_of_what_ends_or_may_be_false() -> None:
    """At the end the box is of an earlier frame."""
    for message in (sent.frigate() | {"type": "end"}, sent.frigate(false_positive=True)):
        assert people("frigate").read(encoded(message)) == []
    car = people("frigate").read(encoded(sent.frigate(label="car")))
    assert [found.people for found in car] == [()]


def test_deepstream_objects_need_not_have_a_score_or_a_track() -> None:
    """Without classifiers the payload has no score; 2^64 - 1 is nvtracker's word for none."""
    read = FORMS["deepstream"].read
    place = "320|360|480|630"
    [message] = read(
        encoded(sent.deepstream_minimal(f"18446744073709551615|{place}|person", f"9|{place}|car|#|x|-0.1"))
    )
    assert message.boxes == (GivenBox(PIXELS, 1.0, "person", None), GivenBox(PIXELS, 0.0, "car", "9"))
    [message] = read(encoded(sent.deepstream_minimal(f"9|{place}|person|#|x|0.5|#|0.1,0.2")))
    assert message.boxes[0].score == 0.5
    assert message.is_whole
    [message] = read(encoded(sent.deepstream_full(id="18446744073709551615")))
    assert message.boxes[0].track is None
    assert not message.is_whole
    for fault in (sent.deepstream_minimal("9|1|2"), sent.deepstream_minimal("9|a|1|1|1|person")):
        with pytest.raises(DataError, match=r"objects\.0"):
            read(encoded(fault))
    with pytest.raises(DataError, match="found no label"):
        read(encoded(sent.deepstream_full(person=None)))
    with pytest.raises(DataError, match=r"object\.topleftx"):
        read(encoded(sent.deepstream_full(bbox={})))


def test_onvif_reads_xml_without_entities_only() -> None:
    """Entities that grow without bound, or name files, need a DOCTYPE."""
    bomb = "<!DOCTYPE a [<!ENTITY b 'b'>" + "".join(f"<!ENTITY b{n} '&b;&b;&b;'>" for n in range(9)) + "]>"
    file = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
    for head in (bomb, file, "<!DOCTYPE a>"):
        with pytest.raises(DataError, match="without a DOCTYPE"):
            FORMS["onvif"].read(f"{head}<a>&b;</a>".encode())
    deep = b"<a>" * 1000 + b"</a>" * 1000
    with pytest.raises(DataError, match="at most 64 deep"):
        FORMS["onvif"].read(deep)


def test_onvif_transformations_of_object_and_frame_follow_each_other() -> None:
    """First that of the object, then that of the frame; y points up, so a smaller y is lower."""
    frame = sent.onvif_json()
    appearance = frame["Frame"][0]["Object"][0]["Appearance"]
    appearance["Shape"]["BoundingBox"] = {"@left": 0, "@bottom": 0, "@right": 1, "@top": 1}
    appearance["Transformation"] = {"Scale": {"@x": 0.5, "@y": 0.5}, "Translate": {"@x": 1, "@y": 0}}
    frame["Frame"][0]["Transformation"] = {"Scale": {"@x": 0.5, "@y": 1}, "Translate": {"@x": -1, "@y": -1}}
    [message] = FORMS["onvif"].read(encoded(frame))
    # x: 0..1 -> 1..1.5 -> -0.5..-0.25; y: 0..1 -> 0..0.5 -> -1..-0.5, the lowest quarter
    assert message.boxes[0].box == pytest.approx((0.25, 0.75, 0.375, 1.0))


def test_onvif_classes_in_the_older_words_count_too() -> None:
    """ClassCandidate with a likelihood beside it; nothing said is nothing known."""
    frame = sent.onvif_json()
    appearance = frame["Frame"][0]["Object"][0]["Appearance"]
    appearance["Class"] = {"ClassCandidate": {"Type": "Human", "Likelihood": "0.5"}}
    [message] = FORMS["onvif"].read(encoded(frame))
    assert (message.boxes[0].label, message.boxes[0].score) == ("Human", 0.5)
    del appearance["Class"]
    [message] = FORMS["onvif"].read(encoded(frame))
    assert message.boxes[0].label is None


def test_an_object_that_was_once_a_person_stays_one() -> None:
    """AXIS tells the class of most objects later, or not in every frame; who was never called a person is none."""
    reader, found = people("axis"), sent.axis()["detections"][0]
    unknown = {name: value for name, value in found.items() if name != "class"}
    assert [one.people for one in reader.read(encoded(sent.axis(unknown)))] == [()]
    assert len(reader.read(encoded(sent.axis()))[0].people) == 1
    assert len(reader.read(encoded(sent.axis(unknown)))[0].people) == 1
    assert reader.read(encoded(sent.axis(unknown | {"object_track_id": "8"})))[0].people == ()
    assert [one.people for one in reader.read(encoded({"channel_id": 1, "timestamp": "2026-01-01T12:00:00Z"}))] == [()]


def test_only_messages_about_this_camera_count() -> None:
    """By its id, or by the name that the settings give; without a name in the message the topic has decided."""
    assert people("frigate").read(encoded(sent.frigate(camera="till"))) == []
    assert people("plain").read(encoded(sent.plain(camera="till"))) == []
    named = GivenPeople(settings("deepstream", name="cam-4"), camera_id="door")
    assert named.read(encoded(sent.deepstream_minimal())) == []
    assert len(named.read(encoded(sent.deepstream_minimal(sensorId="cam-4")))) == 1
    assert named.counts.messages == 1
    second = GivenPeople(settings("axis", name="2"), camera_id="door")
    assert second.read(encoded(sent.axis())) == []
    assert len(second.read(encoded(sent.axis(channel_id=2)))) == 1


def test_people_may_have_another_label() -> None:
    """In small or large letters; the usual one then is none."""
    reader = GivenPeople(settings("deepstream", labels=("Pedestrian",)), camera_id="door")
    place = "|320|360|480|630|"
    payload = encoded(sent.deepstream_minimal(f"1{place}pedestrian", f"2{place}person"))
    assert [person.given_id for person in reader.read(payload)[0].people] == ["1"]


def test_a_late_clock_is_made_up_for() -> None:
    """offset_ms is added."""
    reader = GivenPeople(settings("plain", offset_ms=-40.5), camera_id="door")
    assert reader.read(encoded(sent.plain()))[0].capture_ns == NOON_NS - 40_500_000


def test_a_box_without_a_track_is_said_where_tracks_are_given() -> None:
    """And kept where they are our own."""
    message = encoded(sent.plain(boxes=[{"box": list(SHARES), "score": 1}]))
    reader = people("plain")
    assert reader.read(message)[0].people == ()
    assert reader.counts.nameless == 1
    assert "`tracks: own`" in str(reader.fault)
    own = GivenPeople(settings("plain", tracks="own"), camera_id="door")
    assert len(own.read(message)[0].people) == 1
    assert own.fault is None


def test_a_fault_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """However many messages are faulty; it is over with the next good one."""
    reader = people("plain")
    for _ in range(50):
        reader.read(b"{")
    assert reader.counts.faulty == 50
    assert len(caplog.messages) == 1
    reader.read(SAMPLES["plain"])
    assert reader.fault is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"form": "yolo"}, "expected one of plain, frigate"),
        ({"form": "frigate"}, "give width_px and height_px"),
        ({"width_px": 640, "height_px": 480}, "of no use for boxes of form plain"),
        ({"topic": "a/#/b"}, "expected a topic of MQTT"),
        ({"topic": "a+"}, "expected a topic of MQTT"),
        ({"topic": ""}, "expected a topic of MQTT"),
        ({"tracks": "both"}, "given"),
    ],
)
def test_wrong_settings_are_said(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    """With their place in the file."""
    boxes = {"form": "plain", "topic": "boxes"} | changes
    (tmp_path / "site.yaml").write_text(
        "site: shop\nnode: gate\nengine: {model: a.onnx}\nbroker: {host: localhost}\nspool: {path: s.sqlite}\n"
        f"cameras: [{{id: door, source: a.avi, boxes: {json.dumps(boxes)}}}]\n"
    )
    with pytest.raises(ConfigError, match=r"cameras\.0\.boxes") as found:
        read_config(tmp_path / "site.yaml")
    assert reason in str(found.value)

"""Who is in which named part of the picture is told and counted."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.config import read_config
from edge_runtime.contract.preprocess import Box
from edge_runtime.health.checks import HealthChecks
from edge_runtime.link.messages import Message
from edge_runtime.streams.looking import Look
from edge_runtime.streams.stream import CameraStream
from edge_runtime.streams.zones import ZoneCount, ZoneCounter, zones_of
from tests.support.sample_messages import DESCRIPTOR
from tests.support.scripted import HEIGHT_PX, WIDTH_PX, ScriptedDetector, ScriptedSource, scripted_stream

LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
LOW = ((0.0, 0.8), (1.0, 0.8), (1.0, 1.0), (0.0, 1.0))
ZONES = {"left": LEFT, "low": LOW}


def standing(x: float, y: float) -> Box:
    """A person of 60 x 100 pixels whose foot point is at this share of the picture."""
    x_px, y_px = x * WIDTH_PX, y * HEIGHT_PX
    return (x_px - 30, y_px - 100, x_px + 30, y_px)


def same(count: int) -> NDArray[np.float32]:
    """The same descriptor so many times."""
    return np.eye(1, DESCRIPTOR.length, dtype=np.float32).repeat(count, axis=0)


def step(stream: CameraStream) -> list[Message]:
    """Process one frame; everybody looks the same."""
    frame = stream.source.read()
    assert frame is not None
    sighting = stream.sight(Look(frame, tuple(ScriptedDetector().detect(frame.pixels)), busy_s=0.001))
    return stream.follow(sighting, same(len(sighting.crops)))


def test_a_foot_point_may_be_in_several_zones_or_in_none() -> None:
    """The middle of the box's lower side decides, as for masks; the rest of the box may be anywhere."""
    assert zones_of((0.1, 0.5, 0.3, 0.9), ZONES) == ("left", "low")
    assert zones_of((0.1, 0.1, 0.3, 0.7), ZONES) == ("left",)
    assert zones_of((0.3, 0.5, 0.9, 0.9), ZONES) == ("low",)
    assert zones_of((0.3, 0.1, 0.9, 0.7), ZONES) == ()


def test_every_message_names_the_zones_of_its_box() -> None:
    """Those of tracks and of descriptors; a camera without zones says nothing, which is not the same as none."""
    for place, zones in [((0.25, 0.7), ("left",)), ((0.25, 0.95), ("left", "low")), ((0.75, 0.7), ())]:
        stream = scripted_stream(ScriptedSource(people=[standing(*place)]), zones=ZONES)
        assert [message.zones for message in step(stream)] == [zones, zones]
    stream = scripted_stream(ScriptedSource(people=[standing(0.25, 0.7)]))
    assert [message.zones for message in step(stream)] == [None, None]


def test_only_zones_leaves_out_everybody_else() -> None:
    """Who is in no zone is neither followed nor described."""
    source = ScriptedSource(people=[standing(0.25, 0.7), standing(0.75, 0.7)])
    stream = scripted_stream(source, zones=ZONES, only_zones=True)
    said = [message for _ in range(3) for message in step(stream)]
    assert {message.zones for message in said} == {("left",)}
    assert stream.counts.people == 3


def test_a_zone_counts_who_is_there_and_each_track_once() -> None:
    """Somebody who leaves and comes back in one track is one; when tracks end nobody is there."""
    counter = ZoneCounter(ZONES)
    counter.note_look({1: ("left",), 2: ("left", "low")})
    assert counter.counts == {"left": ZoneCount(2, 2), "low": ZoneCount(1, 1)}
    counter.note_look({1: (), 2: ("low",)})
    assert counter.counts == {"left": ZoneCount(0, 2), "low": ZoneCount(1, 1)}
    counter.note_look({1: ("left", "low")})
    assert counter.counts == {"left": ZoneCount(1, 2), "low": ZoneCount(1, 2)}
    counter.note_ended(1)
    counter.note_look({})
    assert counter.counts == {"left": ZoneCount(0, 2), "low": ZoneCount(0, 2)}
    assert counter._entered.keys() == {2}


def test_metrics_have_the_people_of_each_zone() -> None:
    """With camera and zone as labels; a stream whose tracks end has nobody in its zones."""
    source = ScriptedSource(people=[standing(0.25, 0.7), standing(0.2, 0.95)])
    stream = scripted_stream(source, zones=ZONES)
    step(stream)
    assert figures(stream) == {("reid_zone_people", "left"): 2, ("reid_zone_people", "low"): 1} | {
        ("reid_zone_tracks_total", "left"): 2,
        ("reid_zone_tracks_total", "low"): 1,
    }
    stream.end_tracks(same(len(stream.last_crops())))
    assert figures(stream)["reid_zone_people", "left"] == 0
    assert figures(stream)["reid_zone_tracks_total", "left"] == 2


def figures(stream: CameraStream) -> dict[tuple[str, str], float]:
    """What /metrics shows of zones: (name, zone) -> value."""

    class OneStream:
        streams = (stream,)

    checks = HealthChecks(OneStream(), None)  # type: ignore[arg-type]
    shown = [figure for figure in checks._camera_figures() if "zone" in figure.labels]
    assert {figure.labels["camera"] for figure in shown} == {"door"}
    return {(figure.name, figure.labels["zone"]): figure.value for figure in shown}


def test_a_configuration_has_zones_beside_masks(tmp_path: Path) -> None:
    """A name and a polygon each, in the order of the file."""
    (tmp_path / "site.yaml").write_text(
        "site: shop\nnode: gate\nengine: {model: a.onnx}\nbroker: {host: localhost}\nspool: {path: s.sqlite}\n"
        "cameras:\n  - id: door\n    source: a.avi\n    only_zones: true\n"
        "    zones: {way in: [[0, 0.5], [1, 0.5], [1, 1]], queue: [[0, 0], [1, 0], [0, 1]]}\n"
    )
    [camera] = read_config(tmp_path / "site.yaml").cameras
    assert list(camera.zones) == ["way in", "queue"]
    assert camera.zones["queue"] == ((0, 0), (1, 0), (0, 1))
    assert camera.only_zones

"""Pairs: told moments that a second model describes, too."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import decode, normalise
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Descriptor, Input, Manifest, Part, space_id, write_manifest
from edge_runtime.engine.engine import Engine
from edge_runtime.link.broker import BrokerSettings, Connection
from edge_runtime.link.messages import DescriptorMessage
from edge_runtime.link.topics import parse_topic
from edge_runtime.link.wire_format import decode_message
from edge_runtime.streams.looking import Look
from edge_runtime.streams.pair_maker import PairMaker, check_two_spaces
from edge_runtime.streams.stream import CameraStream, MomentUses
from tests.support.daemon_site import MakeSite
from tests.support.mqtt_broker import Broker
from tests.support.sample_messages import DESCRIPTOR, MANIFEST, wait_for
from tests.support.scripted import ScriptedDetector, ScriptedSource, scripted_stream
from tests.support.tiny_network import tiny_graph, tiny_manifest

ANN = (40.0, 20.0, 100.0, 180.0)
_SECOND_WEIGHTS, _SECOND_MODEL = "ef" * 32, "second-patterns-efefefef"


def in_second_space(manifest: Manifest, *, input_: Input | None = None) -> Manifest:
    """The manifest of another network of the same form."""
    input_ = input_ or manifest.input
    space = space_id(_SECOND_WEIGHTS, input_, descriptor=manifest.descriptor)
    return manifest.model_copy(
        update={"weights_sha256": _SECOND_WEIGHTS, "space_id": space, "input": input_, "model_id": _SECOND_MODEL}
    )


class MeanColour(Engine):
    """Describes a crop by its mean colour; its input is square."""

    backend = "mean"

    def __init__(self) -> None:
        descriptor = Descriptor(length=3, parts=(Part(name="global", length=3),))
        manifest = MANIFEST.model_copy(update={"descriptor": descriptor})
        super().__init__(in_second_space(manifest, input_=Input(height_px=32, width_px=32)))
        self.batches: list[int] = []

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batches.append(len(crops))
        return crops.mean(axis=(1, 2), dtype=np.float32)


def step(stream: CameraStream) -> list[DescriptorMessage]:
    """The descriptors that are told of the next frame, with one made-up descriptor for everybody."""
    frame = stream.source.read()
    assert frame is not None
    sighting = stream.sight(Look(frame, tuple(ScriptedDetector().detect(frame.pixels)), busy_s=0.001))
    rows = np.eye(1, DESCRIPTOR.length, dtype=np.float32).repeat(len(sighting.crops), axis=0)
    return [one for one in stream.follow(sighting, rows) if isinstance(one, DescriptorMessage)]


def test_a_pair_shares_track_and_time_and_differs_in_space() -> None:
    """The gallery finds the two halves by track and capture; the second is of the same pixels by the other network."""
    engine = MeanColour()
    pairs = PairMaker(engine, limit=100, codec="f32")
    stream = scripted_stream(ScriptedSource(people=[ANN]), uses=MomentUses(pairs=pairs))
    [told] = step(stream)
    [(camera, second)] = pairs.describe()
    assert camera == stream.camera_id
    assert (second.track, second.capture_ns, second.box) == (told.track, told.capture_ns, told.box)
    assert (second.space, second.model) == (engine.manifest.space_id, _SECOND_MODEL)
    assert told.space == MANIFEST.space_id
    pixels = ScriptedSource(people=[ANN]).read()
    assert pixels is not None
    colour = pixels.pixels.part_rgb((40, 20, 100, 180)).mean(axis=(0, 1))
    assert decode(second.descriptor.encoded()) @ normalise(colour[None])[0] > 0.999
    assert pairs.describe() == []


def test_a_long_track_gives_few_pairs() -> None:
    """Its 1st, 2nd, 4th and 8th moment; somebody who stands there all day would crowd out everybody else."""
    pairs = PairMaker(MeanColour(), limit=100, codec="f16")
    stream = scripted_stream(ScriptedSource(people=[ANN]), uses=MomentUses(pairs=pairs))
    told = [message for _ in range(15) for message in step(stream)]
    seconds = [message for _, message in pairs.describe()]
    assert len(told) == 15
    assert [one.capture_ns for one in seconds] == [told[number - 1].capture_ns for number in (1, 2, 4, 8)]


def test_no_more_pairs_are_made_than_asked_for() -> None:
    """Nothing leaves that is not needed, and the pixels are not kept any longer."""
    engine = MeanColour()
    pairs = PairMaker(engine, limit=3, codec="f16")
    stream = scripted_stream(ScriptedSource(people=[ANN]), uses=MomentUses(pairs=pairs))
    for _ in range(20):
        step(stream)
    assert len(pairs.describe()) == 3
    assert pairs.is_done
    assert engine.batches == [3]


def test_two_models_of_one_space_are_refused() -> None:
    """They are compared as they are; an INT8 engine beside its float32 parent needs no bridge."""
    with pytest.raises(ConfigError, match=r"expected a model of another space than .*, found .*; take `also` out"):
        check_two_spaces(MANIFEST, MANIFEST)
    check_two_spaces(MANIFEST, in_second_space(MANIFEST))


def write_second_network(folder: Path) -> Manifest:
    """A network of another space in a site's folder."""
    path = folder / "second.onnx"
    onnx.save(tiny_graph(seed=1), path)
    manifest = in_second_space(tiny_manifest(path))
    write_manifest(manifest, path)
    return manifest


def test_pairs_of_a_real_daemon_arrive_over_a_real_broker(
    make_site: MakeSite, pedestrians: Path, broker: Broker
) -> None:
    """The birth names both spaces, so that receivers take both; each second half has its first, and they are few."""
    site = make_site(pedestrians, port=broker.port)
    second = write_second_network(site.folder)
    site.settings["engine"] |= {"also": "second.onnx", "pairs": 5}
    connection = Connection(BrokerSettings("127.0.0.1", broker.port), client_id="hears-all", session_s=0)
    with closing(connection):
        connection.subscribe(["reid/v1/lab/gate/#"], qos=1)
        daemon, heard = site.daemon(), []

        def seconds() -> list[tuple[str, int]]:
            for one in connection.step(0.2)[1]:
                heard.append(one)
                connection.acknowledge(one)
            return moments(second.space_id)

        def moments(space: str) -> list[tuple[str, int]]:
            found = [one for one in heard if parse_topic(one.topic).space == space]
            messages = [decode_message(one.payload, leaf="descriptor") for one in found]
            return [(one.track, one.capture_ns) for one in messages]

        wait_for(lambda: len(seconds()) >= 5 or daemon.poll() is not None, timeout_s=120)
        daemon.terminate()
        daemon.communicate(timeout=60)
        seconds()
        [birth] = {one.payload for one in heard if one.topic.endswith("/birth")}
    spaces = {model["space_id"] for model in json.loads(birth)["models"]}
    assert second.space_id in spaces
    assert len(spaces) == 2
    [first] = spaces - {second.space_id}
    assert len(moments(second.space_id)) == 5
    assert set(moments(second.space_id)) <= set(moments(first))

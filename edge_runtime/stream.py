"""One camera from detections to messages: follow people, cut out the crops to describe, make the messages."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, PositiveFloat, ValidationInfo

from edge_runtime.camera.catalog import is_plain_path, known_forms, parse_address
from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.contract.errors import ConfigError, StreamError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import Box, crop_people
from edge_runtime.contract.settings import FilePath, absolute_path, checked_by
from edge_runtime.contract.sharpness import sharpness
from edge_runtime.link.messages import (
    DescriptorMessage,
    Message,
    Quality,
    TrackMessage,
    Vector,
    new_track_id,
    normalise_box,
)
from edge_runtime.link.topics import check_name
from edge_runtime.looking import Look
from edge_runtime.pace import CameraPace
from edge_runtime.people.tracker import Track, Tracker

TopicName = Annotated[str, checked_by(partial(check_name, what="name"))]
"""A name that may stand in an MQTT topic."""
_UPDATE_NS = 5_000_000_000
_LOST_S = 6.0  # twice the time after which a source is stalled


def _check_source(source: str, info: ValidationInfo) -> str:
    try:
        has_password = parse_address(source).password is not None
    except StreamError as error:
        raise ValueError(str(error)) from error
    if has_password:
        raise ValueError("it holds a password: put the whole address into a file of its own and name that source_file")
    return str(absolute_path(Path(source), info)) if is_plain_path(source) else source


@dataclass(frozen=True)
class CameraSettings:
    """One camera.

    source_file: a file that holds nothing but the source; for an address with a password.
    max_fps: how many frames per second are looked at, at most; a newer frame replaces one that was not.
    """

    id: TopicName
    source: Annotated[Annotated[str, AfterValidator(_check_source)] | None, Field(description=known_forms())] = None
    source_file: FilePath | None = None
    max_fps: PositiveFloat = 10.0

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ConfigError: both or none of `source` and `source_file` are given.
        """
        if (self.source is None) == (self.source_file is None):
            raise ConfigError("expected either source or source_file")

    def read_address(self) -> str:
        """The source, or the content of `source_file`.

        Raises:
            ConfigError: `source_file` cannot be read, or holds no address.
        """
        if self.source_file is None:
            assert self.source is not None
            return self.source
        try:
            address = self.source_file.read_text(encoding="utf-8-sig").strip()
            parse_address(address)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"cannot read {self.source_file}: expected the address of camera {self.id} in it; name a readable file"
            ) from error
        except StreamError as error:
            raise ConfigError(f"{self.source_file}: {error}") from error
        return address


@dataclass(frozen=True)
class DescriptorSettings:
    """How often a tracked person is described, and how descriptors are encoded.

    every_s: seconds between two descriptors of one track; 0 makes one for every frame that is processed.
    """

    every_s: Annotated[float, Field(ge=0)] = 0.5
    codec: Codec = "f16"


@dataclass(frozen=True)
class Sighting:
    """The people of one frame.

    tracks: all of them. described: those that get a descriptor now.
    crops: of `described`, in the same order: (N, height, width, 3) uint8, RGB, as the engine takes them.
    """

    frame: Frame
    tracks: tuple[Track, ...]
    described: tuple[Track, ...]
    crops: NDArray[np.uint8]


@dataclass(frozen=True)
class StreamCounts:
    """Totals of a stream since its start. people: boxes of confirmed tracks that were detected, summed over frames."""

    frames: int
    people: int
    tracks: int
    descriptors: int


@dataclass
class _Person:
    """Memory of one confirmed track, until it ends. Times are of the frames' monotonic clock."""

    track_id: str
    descriptor_sum: NDArray[np.float32]
    crops: int = 0
    described_ns: int | None = None
    updated_ns: int = 0
    last_seen: dict[str, Any] = field(default_factory=dict)


class CameraStream:
    """One camera: its source, its pace, the people who are followed in it, and the messages about them.

    Threads: the daemon's main loop makes it and calls every method. `counts` may be read from any thread, since each
    change replaces the whole object.
    """

    def __init__(
        self,
        source: CameraSource,
        *,
        tracker: Tracker,
        manifest: Manifest,
        settings: DescriptorSettings,
        max_fps: float,
    ) -> None:
        """max_fps: how many frames per second are looked at, at most."""
        self.source = source
        self.camera_id = source.camera_id
        self.pace = CameraPace(max_fps)
        self.counts = StreamCounts(0, 0, 0, 0)
        self._tracker = tracker
        self._manifest = manifest
        self._codec = settings.codec
        self._every_ns = int(settings.every_s * 1e9)
        self._latest_frame_s = 0.0
        self._people: dict[int, _Person] = {}

    def follow(self, look: Look) -> Sighting:
        """Follow the people of the next frame in order, and crop those who are due to be described."""
        self.pace.note_look(look.busy_s)
        frame = look.frame
        self._latest_frame_s = time.monotonic()
        tracks = tuple(self._tracker.update(look.detections, frame.monotonic_ns))
        due = tuple(track for track in tracks if track.state == "confirmed" and self._is_due(track, frame))
        spec = self._manifest.input
        crops = crop_people(
            frame.pixels,
            [_detected_box(track) for track in due],
            height_px=spec.height_px,
            width_px=spec.width_px,
            rule=spec.resize,
        )
        return Sighting(frame, tracks, due, crops)

    def make_messages(self, sighting: Sighting, descriptors: NDArray[np.float32]) -> list[Message]:
        """Make the messages about a sighting. descriptors: (N, D) float32, unit rows, one per crop of the sighting."""
        messages: list[Message] = []
        frame = sighting.frame
        ids = [track.id for track in sighting.described]
        self._tracker.learn(dict(zip(ids, descriptors, strict=True)))
        for track in sighting.tracks:
            if track.state == "confirmed":
                messages += self._note_seen(frame, track)
        for track, descriptor, crop in zip(sighting.described, descriptors, sighting.crops, strict=True):
            messages.append(self._note_described(frame, track, descriptor=descriptor, crop=crop))
        for track in sighting.tracks:
            if track.state == "ended":
                messages += self._note_ended(track)
        seen = sum(track.state == "confirmed" for track in sighting.tracks)
        self._count(frames=1, people=seen, descriptors=len(sighting.described))
        return messages

    def end_tracks(self) -> list[Message]:
        """End every track, because the camera or the daemon stops. Returns the messages of those ends."""
        return [message for track in self._tracker.end_all() for message in self._note_ended(track)]

    def end_tracks_if_lost(self) -> list[Message]:
        """End every track if the camera has given no frame for a while: it may be away for days."""
        if self.source.status().state != "reconnecting" or time.monotonic() - self._latest_frame_s < _LOST_S:
            return []
        return self.end_tracks()

    def _is_due(self, track: Track, frame: Frame) -> bool:
        person = self._people.get(track.id)
        if person is None or person.described_ns is None:
            return True
        return frame.monotonic_ns - person.described_ns >= self._every_ns

    def _note_seen(self, frame: Frame, track: Track) -> list[Message]:
        """Remember where a person is. Returns the message that the track starts, or goes on, if one is due."""
        person = self._people.get(track.id)
        if person is None:
            length = self._manifest.descriptor.length
            person = self._people[track.id] = _Person(new_track_id(), np.zeros(length, np.float32))
            self._count(tracks=1)
        person.last_seen = self._observed_fields(person, frame=frame, track=track)
        if person.updated_ns and frame.monotonic_ns - person.updated_ns < _UPDATE_NS:
            return []
        event: Literal["start", "update"] = "update" if person.updated_ns else "start"
        person.updated_ns = frame.monotonic_ns
        return [self._track_message(event, person)]

    def _note_described(
        self, frame: Frame, track: Track, *, descriptor: NDArray[np.float32], crop: NDArray[np.uint8]
    ) -> DescriptorMessage:
        """Add a descriptor to a person's sum. Returns its message."""
        person = self._people[track.id]
        person.descriptor_sum += descriptor
        person.crops += 1
        person.described_ns = frame.monotonic_ns
        return DescriptorMessage(
            **self._observed_fields(person, frame=frame, track=track),
            kind="crop",
            crops=1,
            dispersion=0.0,
            quality=_quality(frame, track, crop=crop),
            descriptor=Vector.of(encode(descriptor, codec=self._codec)),
        )

    def _note_ended(self, track: Track) -> list[Message]:
        """Forget a person. Returns the message that the track has ended."""
        person = self._people.pop(track.id, None)
        return [] if person is None else [self._track_message("end", person)]

    def _track_message(self, event: Literal["start", "update", "end"], person: _Person) -> TrackMessage:
        length = float(np.linalg.norm(person.descriptor_sum))
        vector = None
        if event == "end" and length > 0:
            vector = Vector.of(encode(person.descriptor_sum / np.float32(length), codec=self._codec))
        return TrackMessage(
            **person.last_seen,
            event=event,
            crops=person.crops,
            # For unit vectors the mean cosine to their normalised mean is the length of their mean.
            dispersion=max(0.0, 1.0 - length / person.crops) if person.crops else 0.0,
            descriptor=vector,
        )

    def _observed_fields(self, person: _Person, *, frame: Frame, track: Track) -> dict[str, Any]:
        height, width = frame.pixels.height_px, frame.pixels.width_px
        return {
            "track": person.track_id,
            "space": self._manifest.space_id,
            "model": self._manifest.model_id,
            "precision": self._manifest.build.precision,
            "capture_ns": frame.capture_ns,
            "time_source": frame.time_source,
            "uncertainty_ns": frame.uncertainty_ns,
            "monotonic_ns": frame.monotonic_ns,
            "box": normalise_box(track.box, frame_height_px=height, frame_width_px=width),
            "frame_height_px": height,
            "frame_width_px": width,
            "score": min(max(track.score, 0.0), 1.0),
        }

    def _count(self, *, frames: int = 0, people: int = 0, tracks: int = 0, descriptors: int = 0) -> None:
        old = self.counts
        self.counts = StreamCounts(
            old.frames + frames, old.people + people, old.tracks + tracks, old.descriptors + descriptors
        )


def _detected_box(track: Track) -> Box:
    """The box as the detector gave it: its descriptor is made of these pixels, not of smoothed ones."""
    assert track.detection is not None, "a confirmed track was detected"
    return track.detection.box


def _quality(frame: Frame, track: Track, *, crop: NDArray[np.uint8]) -> Quality:
    left, top, right, bottom = _detected_box(track)
    height, width = frame.pixels.height_px, frame.pixels.width_px
    on_the_edge: Sequence[bool] = (left <= 0, top <= 0, right >= width, bottom >= height)
    return Quality(size_px=bottom - top, blur=sharpness(crop), truncation=sum(on_the_edge) / 4)

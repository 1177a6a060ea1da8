"""One camera from frames to messages: look, follow people, choose the crops to describe, then say what was seen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import crop_people
from edge_runtime.link.messages import (
    DescriptorMessage,
    Message,
    Quality,
    TrackMessage,
    Vector,
    new_track_id,
    normalise_box,
)
from edge_runtime.people.detector import Detector
from edge_runtime.people.tracker import Track, Tracker

_UPDATE_NS = 5_000_000_000
_LOST_S = 6.0  # twice the stall limit of a source


@dataclass(frozen=True)
class Sighting:
    """What one look at a frame found. `crops` belong to the tracks in `described`, in the same order.

    crops: (N, height, width, 3) uint8, RGB, as the engine takes them.
    """

    frame: Frame
    tracks: tuple[Track, ...]
    described: tuple[Track, ...]
    crops: NDArray[np.uint8]


@dataclass(frozen=True)
class LaneCounts:
    """What a stream has done so far. People are boxes of confirmed tracks that were seen, summed over frames."""

    frames: int
    people: int
    tracks: int
    descriptors: int


@dataclass
class _Person:
    """What is known of a confirmed track, for as long as it lasts."""

    track_id: str
    descriptor_sum: NDArray[np.float32]
    crops: int = 0
    described_ns: int | None = None
    updated_ns: int = 0
    last_seen: dict[str, Any] = field(default_factory=dict)


class CameraStream:
    """Not safe to share between threads, but for `counts`.

    every_s: seconds between two descriptors of one track. max_fps: frames looked at per second, at most.
    """

    def __init__(
        self,
        source: CameraSource,
        *,
        detector: Detector,
        tracker: Tracker,
        manifest: Manifest,
        codec: Codec,
        every_s: float,
        max_fps: float,
    ) -> None:
        self.source = source
        self.camera_id = source.camera_id
        self.counts = LaneCounts(0, 0, 0, 0)
        self._detector = detector
        self._tracker = tracker
        self._manifest = manifest
        self._codec = codec
        self._every_ns = int(every_s * 1e9)
        self._pause_s = 1.0 / max_fps
        self._next_look_s = 0.0
        self._looked_s = 0.0
        self._people: dict[int, _Person] = {}

    def look(self) -> Sighting | None:
        """Look at the newest frame, if there is one and it is time to. Never waits.

        Raises:
            StreamError: the camera is gone for good.
        """
        now_s = time.monotonic()
        frame = self.source.read() if now_s >= self._next_look_s else None
        if frame is None:
            return None
        # Looks keep their rhythm: one that came late does not push the following ones back.
        self._next_look_s = max(self._next_look_s + self._pause_s, now_s)
        self._looked_s = now_s
        tracks = tuple(self._tracker.update(self._detector.detect(frame.pixels), frame.monotonic_ns))
        due = tuple(track for track in tracks if track.state == "confirmed" and self._is_due(track, frame))
        spec = self._manifest.input
        crops = crop_people(
            frame.pixels,
            [track.box for track in due],
            height_px=spec.height_px,
            width_px=spec.width_px,
            rule=spec.resize,
        )
        return Sighting(frame, tracks, due, crops)

    def report(self, sighting: Sighting, descriptors: NDArray[np.float32]) -> list[Message]:
        """Say what was seen. descriptors: (N, D) float32, unit rows, one per crop of the sighting."""
        said: list[Message] = []
        frame = sighting.frame
        for track in sighting.tracks:
            if track.state == "confirmed":
                said += self._follow(frame, track)
        for track, descriptor, crop in zip(sighting.described, descriptors, sighting.crops, strict=True):
            said.append(self._describe(frame, track, descriptor=descriptor, crop=crop))
        for track in sighting.tracks:
            if track.state == "ended":
                said += self._end(track)
        seen = sum(track.state == "confirmed" for track in sighting.tracks)
        self._count(frames=1, people=seen, descriptors=len(sighting.described))
        return said

    def end(self) -> list[Message]:
        """End every track, because the camera or the daemon stops."""
        return [message for track in self._tracker.end_all() for message in self._end(track)]

    def end_lost(self) -> list[Message]:
        """End every track of a camera that was lost a while ago: it may be away for days, and would tell only then."""
        if self.source.status().state != "reconnecting" or time.monotonic() - self._looked_s < _LOST_S:
            return []
        return self.end()

    def _is_due(self, track: Track, frame: Frame) -> bool:
        person = self._people.get(track.id)
        if person is None or person.described_ns is None:
            return True
        return frame.monotonic_ns - person.described_ns >= self._every_ns

    def _follow(self, frame: Frame, track: Track) -> list[Message]:
        person = self._people.get(track.id)
        if person is None:
            length = self._manifest.descriptor.length
            person = self._people[track.id] = _Person(new_track_id(), np.zeros(length, np.float32))
            self._count(tracks=1)
        person.last_seen = self._observation(person, frame=frame, track=track)
        if person.updated_ns and frame.monotonic_ns - person.updated_ns < _UPDATE_NS:
            return []
        event: Literal["start", "update"] = "update" if person.updated_ns else "start"
        person.updated_ns = frame.monotonic_ns
        return [self._track_message(event, person)]

    def _describe(
        self, frame: Frame, track: Track, *, descriptor: NDArray[np.float32], crop: NDArray[np.uint8]
    ) -> DescriptorMessage:
        person = self._people[track.id]
        person.descriptor_sum += descriptor
        person.crops += 1
        person.described_ns = frame.monotonic_ns
        return DescriptorMessage(
            **self._observation(person, frame=frame, track=track),
            kind="crop",
            crops=1,
            dispersion=0.0,
            quality=_quality(frame, track, crop=crop),
            descriptor=Vector.of(encode(descriptor, codec=self._codec)),
        )

    def _end(self, track: Track) -> list[Message]:
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

    def _observation(self, person: _Person, *, frame: Frame, track: Track) -> dict[str, Any]:
        height, width = frame.pixels.shape[:2]
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
        self.counts = LaneCounts(
            old.frames + frames, old.people + people, old.tracks + tracks, old.descriptors + descriptors
        )


def _quality(frame: Frame, track: Track, *, crop: NDArray[np.uint8]) -> Quality:
    left, top, right, bottom = track.box
    height, width = frame.pixels.shape[:2]
    on_the_edge: Sequence[bool] = (left <= 0, top <= 0, right >= width, bottom >= height)
    sharpness = float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())
    return Quality(size_px=bottom - top, blur=sharpness, truncation=sum(on_the_edge) / 4)

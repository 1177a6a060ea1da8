"""What is remembered of one person who is followed, and the messages about the track."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.camera.frame import Frame
from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import Box
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
from edge_runtime.people.best_shot import LEAST_QUALITY, Shot, ShotPlan
from edge_runtime.people.shot_quality import ShotQuality
from edge_runtime.streams.polygons import Polygon
from edge_runtime.streams.zones import zones_of

_UPDATE_NS = 5_000_000_000
_LEAST_WEIGHT = 0.01
Event = Literal["start", "update", "end"]


@dataclass(frozen=True)
class Sender:
    """What all messages of a camera share. zones: name -> polygon; without any no message names zones."""

    manifest: Manifest
    codec: Codec
    zones: Mapping[str, Polygon] = field(default_factory=dict)

    def observe(self, frame: Frame, *, box: Box, score: float, given_id: str | None) -> dict[str, Any]:
        """A message's fields about a person in a frame, but for the track. box: pixels. given_id: `Detection`'s."""
        height, width = frame.pixels.height_px, frame.pixels.width_px
        normalised = normalise_box(box, frame_height_px=height, frame_width_px=width)
        return {
            "space": self.manifest.space_id,
            "model": self.manifest.model_id,
            "precision": self.manifest.build.precision,
            "capture_ns": frame.capture_ns,
            "time_source": frame.time_source,
            "uncertainty_ns": frame.uncertainty_ns,
            "monotonic_ns": frame.monotonic_ns,
            "box": normalised,
            "frame_height_px": height,
            "frame_width_px": width,
            "score": min(max(score, 0.0), 1.0),
            "zones": zones_of(normalised, self.zones) if self.zones else None,
            "given_track": given_id,
        }


class FollowedPerson:
    """One track that is reported in messages, until it ends. One thread uses it."""

    def __init__(self, sender: Sender, plan: ShotPlan) -> None:
        self.track_id = new_track_id()
        self.plan = plan
        self.continues: str | None = None
        self._sender = sender
        self._sum = np.zeros(sender.manifest.descriptor.length, np.float32)
        self._weight, self._crops = 0.0, 0
        self._best_quality: float | None = None
        self._updated_ns: int | None = None
        self._last_seen: dict[str, Any] = {}

    @property
    def zones(self) -> tuple[str, ...]:
        """In which the person was seen last."""
        return self._last_seen.get("zones") or ()

    def note_seen(self, frame: Frame, *, box: Box, score: float, given_id: str | None = None) -> list[Message]:
        """Remember where the person is. Returns the message that the track starts, or goes on, if one is due."""
        self._last_seen = self._sender.observe(frame, box=box, score=score, given_id=given_id)
        if self._updated_ns is None:
            return [self._tell("start", frame.monotonic_ns)]
        return [self._tell("update", frame.monotonic_ns)] if frame.monotonic_ns - self._updated_ns >= _UPDATE_NS else []

    def note_earlier(self, track_id: str, time_ns: int) -> list[Message]:
        """Remember which earlier track this one carries on. Returns the message that says so."""
        self.continues = track_id
        return [self._tell("update", time_ns)]

    def note_described(self, shot: Shot, descriptor: NDArray[np.float32], *, time_ns: int) -> list[DescriptorMessage]:
        """Add a descriptor to the mean. Returns its message; none if the moment was too bad to stand alone."""
        value = shot.quality.value
        weight = max(value, _LEAST_WEIGHT)
        self._sum += np.float32(weight) * descriptor
        self._weight += weight
        self._crops += 1
        self._best_quality = max(value, self._best_quality or 0.0)
        self.plan.note_described(time_ns)
        if value < LEAST_QUALITY:
            return []
        return [
            DescriptorMessage(
                **shot.fields,
                track=self.track_id,
                quality=_as_told(shot.quality, crop=shot.crop),
                kind="crop",
                crops=1,
                dispersion=0.0,
                waited_ns=max(0, time_ns - shot.fields["monotonic_ns"]) or None,
                descriptor=Vector.of(encode(descriptor, codec=self._sender.codec)),
            )
        ]

    def note_ended(self) -> TrackMessage:
        """The message that the track has ended."""
        return self._tell("end", 0)

    def _tell(self, event: Event, time_ns: int) -> TrackMessage:
        self._updated_ns = time_ns
        length = float(np.linalg.norm(self._sum))
        vector = None
        if event == "end" and length > 0:
            vector = Vector.of(encode(self._sum / np.float32(length), codec=self._sender.codec))
        return TrackMessage(
            **self._last_seen,
            track=self.track_id,
            event=event,
            crops=self._crops,
            # For unit vectors the mean cosine to their normalised mean is the length of their mean.
            dispersion=max(0.0, 1.0 - length / self._weight) if self._crops else 0.0,
            descriptor=vector,
            quality=self._best_quality,
            continues=self.continues,
        )


def _as_told(quality: ShotQuality, *, crop: NDArray[np.uint8]) -> Quality:
    return Quality(
        size_px=quality.size_px,
        blur=sharpness(crop),
        truncation=quality.truncation,
        overlap=min(quality.overlap, 1.0),
        sharpness=quality.sharpness,
        value=quality.value,
    )

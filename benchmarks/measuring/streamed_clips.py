"""Clips as the daemon takes them: every look goes through a camera's stream, with an engine, to its messages."""

from dataclasses import dataclass

import numpy as np

from benchmarks.measuring.tracked_clips import ClipLook, LookSequence
from benchmarks.measuring.tracking_scores import TrackedFrame
from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.engine.engine import Engine
from edge_runtime.link.messages import Message
from edge_runtime.people.catalog import open_tracker
from edge_runtime.people.tracker import Track, Tracker
from edge_runtime.streams.looking import Look
from edge_runtime.streams.stream import CameraStream, DescriptorSettings, LookSettings


@dataclass(frozen=True)
class StreamedClip:
    """What a stream made of a sequence of looks. tracked: at each look, with the names that a receiver gives.

    described: crops.
    """

    tracked: list[TrackedFrame]
    messages: list[Message]
    described: int


def stream_clip(
    sequence: LookSequence, *, engine: Engine, sure_score: float, tracker: Tracker | None = None
) -> StreamedClip:
    """Run a sequence through a stream of its own. Messages have the looks' times as `monotonic_ns`.

    tracker: a new one; None: the daemon's.
    """
    stream = CameraStream(
        CameraSource("clip.avi", camera_id=sequence.name),
        tracker=tracker or open_tracker(sure_score=sure_score),
        sure_score=sure_score,
        manifest=engine.manifest,
        settings=DescriptorSettings(),
        looks=LookSettings(sequence.rate),
    )
    tracked, messages, names = list[TrackedFrame](), list[Message](), dict[int, int]()
    for number, look in enumerate(sequence.looks):
        sighting = stream.sight(Look(_frame(look, number), look.frame.detections, busy_s=0.0))
        messages += stream.follow(sighting, engine.describe(sighting.crops))
        seen = [track for track in stream.tracks if track.state == "confirmed"]
        boxes = np.array([track.box for track in seen], np.float64).reshape(-1, 4)
        tracked.append(TrackedFrame(np.array([_name(track, names) for track in seen], np.int64), boxes))
    messages += stream.end_tracks(engine.describe(stream.last_crops()))
    return StreamedClip(tracked, messages, stream.counts.described)


def time_ns(look: ClipLook) -> int:
    """The monotonic time of a look."""
    return round(look.time_s * 1e9)


def _frame(look: ClipLook, number: int) -> Frame:
    return Frame("clip", number, look.frame.pixels, time_ns(look), time_ns(look), "file", 0)


def _name(track: Track, names: dict[int, int]) -> int:
    """The first of the tracks that this one carries on, or itself."""
    if track.previous is not None:
        names[track.id] = names.get(track.previous, track.previous)
    return names.get(track.id, track.id)

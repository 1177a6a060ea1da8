"""One camera from detections to messages: cut out the crops to describe, follow people, make the messages."""

import logging
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from operator import add
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge_runtime.camera.frame import Frame
from edge_runtime.camera.source import CameraSource
from edge_runtime.contract.descriptor import Codec
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import crop_people, pixel_box
from edge_runtime.link.messages import Message
from edge_runtime.people.best_shot import Shot, ShotPlan
from edge_runtime.people.detector import Detection
from edge_runtime.people.shot_quality import ShotQuality, measure_overlaps, measure_sharpness, measure_truncation
from edge_runtime.people.tracker import Foreseen, Track, Tracker
from edge_runtime.streams.followed import FollowedPerson, Sender
from edge_runtime.streams.looking import Look
from edge_runtime.streams.masks import outside_masks
from edge_runtime.streams.pace import CameraPace
from edge_runtime.streams.pair_maker import PairMaker
from edge_runtime.streams.polygons import Polygon
from edge_runtime.streams.site_keeper import SiteKeeper
from edge_runtime.streams.zones import ZoneCounter, inside_zones

logger = logging.getLogger(__name__)

_LOST_S = 6.0  # twice the time after which a source is stalled
_MOST_ENDED = 100  # whose names are remembered, since later tracks may carry them on


@dataclass(frozen=True)
class DescriptorSettings:
    """How often a tracked person is described, and how descriptors are encoded.

    every_s: seconds between two descriptors of one track; 0 makes one for every look at which a person is seen well
    enough.
    """

    every_s: Annotated[float, Field(ge=0)] = 0.5
    codec: Codec = "f16"


@dataclass(frozen=True)
class LookSettings:
    """How a camera is looked at. max_fps: looks per second, at most. masks: who stands in one is not looked at.

    zones: name -> polygon; who stands in which is told. only_zones: who stands in none is not looked at.
    """

    max_fps: float
    masks: tuple[Polygon, ...] = ()
    zones: Mapping[str, Polygon] = field(default_factory=dict)
    only_zones: bool = False


@dataclass(frozen=True)
class MomentUses:
    """What else is made of told moments. keeper: of a site set. pairs: describes some with a second model, too."""

    keeper: SiteKeeper | None = None
    pairs: PairMaker | None = None


NO_MORE_USES = MomentUses()


@dataclass(frozen=True)
class Sighting:
    """The people of one look, and what is to be described before they are followed.

    qualities: of each detection whose moment may count. rows: detection -> its row of `crops`. held: earlier moments
    that are due, by track; the crops of those that are not described yet follow in `crops`.
    crops: (N, height, width, 3) uint8, RGB, as the engine takes them.
    """

    look: Look
    qualities: dict[int, ShotQuality]
    rows: dict[int, int]
    held: dict[int, Shot]
    crops: NDArray[np.uint8]


@dataclass(frozen=True)
class StreamCounts:
    """Totals of a stream since its start. people: boxes of confirmed tracks that were detected, summed over frames.

    descriptors: told, each of one crop. described: crops, also those that only helped to follow people.
    """

    frames: int
    people: int
    tracks: int
    descriptors: int
    described: int

    def __add__(self, more: "StreamCounts") -> "StreamCounts":
        """The totals of both."""
        return StreamCounts(*map(add, vars(self).values(), vars(more).values()))


class CameraStream:
    """One camera: its source, its pace, the people who are followed in it, and the messages about them.

    tracks: of the last look. sensitivity: how well descriptors tell people apart here, see `Tracker.sensitivity`.
    latest_message_s: monotonic time at which a message of it was published last; set by who publishes.
    Threads: the daemon's main loop makes it and calls every method. Any thread may read `counts`, `tracks`,
    `zones.counts`, `sensitivity` and `latest_message_s`, since each change replaces the whole object.
    """

    def __init__(
        self,
        source: CameraSource,
        *,
        tracker: Tracker,
        sure_score: float,
        manifest: Manifest,
        settings: DescriptorSettings,
        looks: LookSettings,
        uses: MomentUses = NO_MORE_USES,
    ) -> None:
        """sure_score: see `Detector.sure_score`."""
        self.source = source
        self.camera_id = source.camera_id
        self.pace = CameraPace(looks.max_fps)
        self._looks = looks
        self.zones = ZoneCounter(looks.zones)
        self.counts = StreamCounts(0, 0, 0, 0, 0)
        self.sensitivity: float | None = None
        self.latest_message_s: float | None = None
        self._tracker = tracker
        self.tracks: tuple[Track, ...] = ()
        self._sure_at = min(1.0, 2 * sure_score)
        self._manifest = manifest
        self._sender = Sender(manifest, settings.codec, looks.zones)
        self._every_ns = int(settings.every_s * 1e9)
        self._latest_frame_s = 0.0
        self._people: dict[int, FollowedPerson] = {}
        self._ended: OrderedDict[int, str] = OrderedDict()
        self._was_useful: bool | None = None
        self._keeper, self._pairs = uses.keeper, uses.pairs

    def sight(self, look: Look) -> Sighting:
        """Choose what to describe at the next look, in order: those who are unclear, and good moments of tracks."""
        self.pace.note_look(look.busy_s)
        self._latest_frame_s = time.monotonic()
        look = replace(look, detections=self._watched(look))
        time_ns = look.frame.monotonic_ns
        foreseen = self._tracker.foresee(look.detections, time_ns)
        qualities = self._rate(look, foreseen)
        chosen = {index for index, one in enumerate(foreseen) if one.is_unclear and not self.pace.is_behind}
        held = self._last_calls(seen={one.track_id for one in foreseen})
        for index, one in enumerate(foreseen):
            plan = self._plan_of(one)
            if not one.is_told or not plan.is_due(time_ns):
                continue
            choice = plan.choose(qualities[index].value if index in qualities else -1.0, time_ns)
            if choice == "now":
                chosen.add(index)
            elif choice == "held" and plan.held:
                held[_known(one)] = plan.held
        order = sorted(chosen)
        crops = [self._crop(look, order), *_crops_of(held)]
        rows = {index: row for row, index in enumerate(order)}
        return Sighting(look, qualities, rows, held, np.concatenate(crops))

    def follow(self, sighting: Sighting, descriptors: NDArray[np.float32]) -> list[Message]:
        """Follow the people of a sighting. descriptors: (N, D) float32, unit rows, one per crop of the sighting."""
        frame, detections = sighting.look.frame, sighting.look.detections
        here, earlier = np.split(descriptors, [len(sighting.rows)])
        looks = np.full((len(detections), self._manifest.descriptor.length), np.nan, np.float32)
        looks[list(sighting.rows)] = here
        self.tracks = tuple(self._tracker.update(detections, frame.monotonic_ns, descriptors=looks))
        told = [track for track in self.tracks if track.state == "confirmed"]
        messages = [message for track in told for message in self._note_seen(frame, track)]
        self.zones.note_look({track.id: self._people[track.id].zones for track in told})
        messages += self._tell_held(sighting.held, earlier, time_ns=frame.monotonic_ns)
        messages += [message for track in told for message in self._note_moment(sighting, track, looks=looks)]
        messages += [message for track in self.tracks if track.state == "ended" for message in self._note_ended(track)]
        self._note_use()
        self._count(frames=1, people=len(told), described=len(descriptors))
        return messages

    def last_crops(self) -> NDArray[np.uint8]:
        """What is to be described before `end_tracks`: (N, height, width, 3) uint8, RGB."""
        return np.concatenate([self._no_crops(), *_crops_of(self._last_calls(seen=set()))])

    def end_tracks(self, descriptors: NDArray[np.float32]) -> list[Message]:
        """End every track, because the camera or the daemon stops. descriptors: (N, D), of `last_crops`."""
        messages = self._tell_held(self._last_calls(seen=set()), descriptors, time_ns=time.monotonic_ns())
        self._count(described=len(descriptors))
        messages += [message for track in self._tracker.end_all() for message in self._note_ended(track)]
        self.zones.note_look({})
        return messages

    def is_lost(self) -> bool:
        """Whether the camera has given no frame for a while: it may be away for days."""
        is_away = self.source.status().state == "reconnecting"
        return is_away and time.monotonic() - self._latest_frame_s >= _LOST_S

    def _watched(self, look: Look) -> tuple[Detection, ...]:
        height_px, width_px = look.frame.pixels.height_px, look.frame.pixels.width_px
        people = outside_masks(look.detections, self._looks.masks, height_px=height_px, width_px=width_px)
        if self._looks.only_zones:
            people = inside_zones(people, self._looks.zones, height_px=height_px, width_px=width_px)
        return people

    def _rate(self, look: Look, foreseen: Sequence[Foreseen]) -> dict[int, ShotQuality]:
        """Rate the moments that may count: better than what a track holds, and of tracks that are due, or unclear."""
        pixels, time_ns = look.frame.pixels, look.frame.monotonic_ns
        height, width = pixels.height_px, pixels.width_px
        seen = {one.track_id for one in foreseen}
        hidden = [track.box for track in self.tracks if track.state != "ended" and track.id not in seen]
        boxes = np.array([one.box for one in look.detections], np.float64).reshape(-1, 4)
        overlaps = measure_overlaps(boxes, np.array(hidden, np.float64).reshape(-1, 4))
        rated = {}
        for index, one in enumerate(foreseen):
            plan, detection = self._plan_of(one), look.detections[index]
            if not one.is_told or not (one.is_unclear or plan.is_due(time_ns)):
                continue
            at_best = ShotQuality(
                overlap=float(overlaps[index]),
                sureness=detection.score / self._sure_at,
                truncation=measure_truncation(detection.box, height_px=height, width_px=width),
                size_px=detection.box[3] - detection.box[1],
                sharpness=inf,
            )
            if plan.is_better(at_best.value):
                left, top, right, bottom = _inside(look, index)
                sharpness = measure_sharpness(pixels.luma[top:bottom, left:right])
                rated[index] = replace(at_best, sharpness=sharpness)
        return rated

    def _note_use(self) -> None:
        """Log whether descriptors help to follow people, when that is known or has changed."""
        self.sensitivity, is_useful = self._tracker.sensitivity, self._tracker.uses_descriptors
        if self.sensitivity is None or is_useful == self._was_useful:
            return
        self._was_useful = is_useful
        verdict = "help to follow them" if is_useful else "are not used to follow them: places and sizes are better"
        logger.info(
            "camera %s: descriptors tell people apart by d' %.1f and %s", self.camera_id, self.sensitivity, verdict
        )

    def _plan_of(self, one: Foreseen) -> ShotPlan:
        person = self._people.get(_known(one))
        return person.plan if person else ShotPlan(self._every_ns)

    def _last_calls(self, *, seen: set[int | None]) -> dict[int, Shot]:
        """The moments to be described of those who are not seen now, by track."""
        away = {id_: person.plan.last_call() for id_, person in self._people.items() if id_ not in seen}
        return {id_: shot for id_, shot in away.items() if shot}

    def _no_crops(self) -> NDArray[np.uint8]:
        return np.empty((0, self._manifest.input.height_px, self._manifest.input.width_px, 3), np.uint8)

    def _crop(self, look: Look, indices: Sequence[int]) -> NDArray[np.uint8]:
        """Crop detections as the detector gave them: descriptors are made of these pixels, not of smoothed boxes."""
        spec = self._manifest.input
        boxes = [look.detections[index].box for index in indices]
        return crop_people(look.frame.pixels, boxes, height_px=spec.height_px, width_px=spec.width_px, rule=spec.resize)

    def _note_seen(self, frame: Frame, track: Track) -> list[Message]:
        """Remember where a person is, and which earlier track it is the rest of."""
        person = self._people.get(track.id)
        if person is None:
            person = self._people[track.id] = FollowedPerson(self._sender, ShotPlan(self._every_ns))
            self._count(tracks=1)
        given_id = track.detection.given_id if track.detection else None
        messages = person.note_seen(frame, box=track.box, score=track.score, given_id=given_id)
        if track.previous is not None and person.continues is None:
            earlier = self._people.get(track.previous)
            name = earlier.track_id if earlier else self._ended.get(track.previous)
            messages += person.note_earlier(name, frame.monotonic_ns) if name else []
        return messages

    def _tell_held(self, held: dict[int, Shot], descriptors: NDArray[np.float32], *, time_ns: int) -> list[Message]:
        """Tell earlier moments. descriptors: of those that were not described when they were held."""
        rows, messages = iter(descriptors), list[Message]()
        for id_, shot in held.items():
            descriptor = next(rows) if shot.descriptor is None else shot.descriptor
            messages += self._tell(self._people[id_], shot, descriptor=descriptor, time_ns=time_ns)
            if shot.descriptor is None:
                self._tracker.learn({id_: descriptor})
        return messages

    def _note_moment(self, sighting: Sighting, track: Track, *, looks: NDArray[np.float32]) -> list[Message]:
        """Tell or hold the moment of a track that was seen now, if it is due."""
        look, plan = sighting.look, self._people[track.id].plan
        index = next(index for index, one in enumerate(look.detections) if one is track.detection)
        quality, time_ns = sighting.qualities.get(index), look.frame.monotonic_ns
        if quality is None or not plan.is_due(time_ns):
            return []
        row = sighting.rows.get(index)
        is_now = plan.choose(quality.value, time_ns) == "now"
        if not (is_now and row is not None) and not plan.is_better(quality.value):
            return []
        crop = self._crop(look, [index])[0] if row is None else sighting.crops[row].copy()
        seen = look.detections[index]
        fields = self._sender.observe(look.frame, box=seen.box, score=seen.score, given_id=seen.given_id)
        pixels = look.frame.pixels.part_rgb(_inside(look, index)) if self._keeps_pixels() else None
        shot = Shot(quality, crop, None if row is None else looks[index], fields, pixels)
        if is_now and row is not None:
            return self._tell(self._people[track.id], shot, descriptor=looks[index], time_ns=time_ns)
        plan.held = shot
        return []

    def _tell(
        self, person: FollowedPerson, shot: Shot, *, descriptor: NDArray[np.float32], time_ns: int
    ) -> list[Message]:
        messages = person.note_described(shot, descriptor, time_ns=time_ns)
        self._count(descriptors=len(messages))
        if messages and self._keeper:
            self._keeper.keep(shot, camera=self.camera_id, track=person.track_id, continues=person.continues)
        if self._pairs:
            for message in messages:
                self._pairs.note(self.camera_id, message, shot=shot)
        return [*messages]

    def _keeps_pixels(self) -> bool:
        return self._keeper is not None or (self._pairs is not None and not self._pairs.is_done)

    def _note_ended(self, track: Track) -> list[Message]:
        """Forget a person, but for the name. Returns the message that the track has ended."""
        person = self._people.pop(track.id, None)
        if person is None:
            return []
        self._ended[track.id] = person.track_id
        self.zones.note_ended(track.id)
        if len(self._ended) > _MOST_ENDED:
            self._ended.popitem(last=False)
        return [person.note_ended()]

    def _count(
        self, *, frames: int = 0, people: int = 0, tracks: int = 0, descriptors: int = 0, described: int = 0
    ) -> None:
        self.counts += StreamCounts(frames, people, tracks, descriptors, described)


def _known(one: Foreseen) -> int:
    """Its track, 0 if it has none: ids begin at 1."""
    return one.track_id or 0


def _inside(look: Look, index: int) -> tuple[int, int, int, int]:
    """A detection's box in whole pixels of the frame."""
    pixels = look.frame.pixels
    return pixel_box(look.detections[index].box, frame_height_px=pixels.height_px, frame_width_px=pixels.width_px)


def _crops_of(held: dict[int, Shot]) -> list[NDArray[np.uint8]]:
    """The crops of moments that are not described yet: (1, height, width, 3) each."""
    return [shot.crop[None] for shot in held.values() if shot.descriptor is None]

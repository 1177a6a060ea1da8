"""The people in one camera's messages: which messages and boxes count, and under which names."""

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass

from edge_runtime.boxes.catalog import FORMS, BoxSettings
from edge_runtime.boxes.given_boxes import BoxMessage, GivenBox
from edge_runtime.boxes.matching import TimedBoxes
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import Box
from edge_runtime.people.detector import Detection

logger = logging.getLogger(__name__)

_MOST_NAMES = 1000
_LONGEST_NAME = 64
_FAR_OUT = 2.0  # no box in shares of the picture reaches so far; such numbers are pixels
_SAY_EVERY_S = 60.0


@dataclass(frozen=True)
class MessageCounts:
    """messages: about this camera. faulty: that were none of the form. nameless: boxes without a track where the
    sender's tracks are to be used."""

    messages: int = 0
    faulty: int = 0
    nameless: int = 0


class GivenPeople:
    """Reads the messages of one camera. What is wrong is counted, and said in one sentence, once a minute at most.

    fault: what was wrong last; None since a message was right. Not thread-safe: one thread calls `read`.
    """

    def __init__(self, settings: BoxSettings, *, camera_id: str) -> None:
        self.counts = MessageCounts()
        self.fault: str | None = None
        self.camera_id = camera_id
        self._settings = settings
        self._labels = settings.known_labels
        self._known: OrderedDict[str, None] = OrderedDict()  # tracks that were called a person
        self._say_at_s = 0.0

    def read(self, payload: bytes) -> list[TimedBoxes]:
        """The people of a message, in shares of the picture; nothing if it is not about this camera, or faulty."""
        try:
            found = []
            for message in FORMS[self._settings.form].read(payload):
                if self._settings.is_for(message, camera_id=self.camera_id):
                    found.append(self._read_message(message))
                    self._count(messages=1)
        except DataError as error:
            self._count(faulty=1)
            self._say(f"a message of form {self._settings.form} on {self._settings.topic} cannot be used: {error}")
            return []
        return found

    def _read_message(self, message: BoxMessage) -> TimedBoxes:
        people, nameless = [], 0
        for one in message.boxes:
            if not self._is_person(one):
                continue
            name = _check_name(one.track) if one.track else None
            if name is None and self._settings.tracks == "given":
                nameless += 1
                continue
            people.append(Detection(self._to_shares(one.box), one.score, name))
        if nameless:
            self._count(nameless=nameless)
            self._say("boxes come without the name of a track; with `tracks: own` it is found out here who is who")
        else:
            self.fault = None
        capture_ns = message.capture_ns + round(self._settings.offset_ms * 1e6)
        return TimedBoxes(capture_ns, tuple(people), message.is_whole)

    def _is_person(self, one: GivenBox) -> bool:
        """By its label; a track that was once called a person is one also where the sender says nothing."""
        if one.label is None:
            return one.track in self._known
        is_person = one.label.casefold() in self._labels
        if one.track is not None and is_person:
            self._known[one.track] = None
            self._known.move_to_end(one.track)
            if len(self._known) > _MOST_NAMES:
                self._known.popitem(last=False)
        return is_person

    def _to_shares(self, box: Box) -> Box:
        width, height = self._settings.width_px or 1, self._settings.height_px or 1
        left, top, right, bottom = box[0] / width, box[1] / height, box[2] / width, box[3] / height
        if not (left < right and top < bottom):
            raise DataError("expected a box with left < right and top < bottom, found another one")
        if max(abs(left), abs(top), abs(right), abs(bottom)) > _FAR_OUT:
            size = "other width_px and height_px" if self._settings.width_px else "shares of the picture"
            raise DataError(f"a box reaches to {max(right, bottom):.3g} times the size of the picture; expected {size}")
        return left, top, right, bottom

    def _say(self, fault: str) -> None:
        self.fault, now_s = fault, time.monotonic()
        if now_s >= self._say_at_s:
            self._say_at_s = now_s + _SAY_EVERY_S
            logger.warning("camera %s: %s", self.camera_id, fault)

    def _count(self, *, messages: int = 0, faulty: int = 0, nameless: int = 0) -> None:
        old = self.counts
        self.counts = MessageCounts(old.messages + messages, old.faulty + faulty, old.nameless + nameless)


def _check_name(name: str) -> str:
    """Return the name of a track if our messages can hold it."""
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise DataError(f"expected names of tracks of at most {_LONGEST_NAME} printable signs, found another one")
    return name

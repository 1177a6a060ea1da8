"""The forms of messages about boxes there are, and the settings of a camera whose boxes come from outside.

To add a form: a file that reads its messages, and a row here. Nothing else knows them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.boxes.axis_boxes import read_axis
from edge_runtime.boxes.deepstream_boxes import read_deepstream
from edge_runtime.boxes.frigate_boxes import read_frigate
from edge_runtime.boxes.given_boxes import BoxMessage
from edge_runtime.boxes.onvif_boxes import read_onvif
from edge_runtime.boxes.plain_boxes import PERSON, read_plain
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.settings import checked_by
from edge_runtime.link.topics import check_filter


@dataclass(frozen=True)
class BoxForm:
    """One row. read: a payload to what it says about frames; raises DataError. labels: what a person is called.

    is_in_pixels: boxes are in pixels of a picture whose size no message tells.
    shares_topic: cameras share a topic, and each message names its camera.
    """

    name: str
    read: Callable[[bytes], list[BoxMessage]]
    labels: tuple[str, ...]
    is_in_pixels: bool = False
    shares_topic: bool = False


FORMS = {
    form.name: form
    for form in (
        BoxForm("plain", read_plain, (PERSON,), shares_topic=True),
        BoxForm("frigate", read_frigate, ("person",), is_in_pixels=True, shares_topic=True),
        BoxForm("deepstream", read_deepstream, ("person",), is_in_pixels=True, shares_topic=True),
        BoxForm("onvif", read_onvif, ("human", "person")),
        BoxForm("axis", read_axis, ("human",)),
    )
}


def _check_form(name: str) -> str:
    if name not in FORMS:
        raise ConfigError(f"expected one of {', '.join(FORMS)}, found {name!r}")
    return name


@dataclass(frozen=True)
class BoxSettings:
    """Where the boxes of a camera come from, instead of from our detector.

    form: a name of FORMS. topic: where such messages come; it may hold + and #. name: of the camera in the messages;
    by default its id where cameras share a topic, and otherwise any.
    width_px, height_px: of the picture in whose pixels the boxes are, for forms in pixels.
    labels: what people are called, in small or large letters; by default as the form does.
    offset_ms: is added to the times of the messages, to make up for a sender that takes the time too late.
    max_apart_ms: how far from the time of the boxes a frame may be. keep_s: how long frames wait for their boxes.
    tracks: `given`: the sender says who is who; `own`: we do. forget_s: a given track ends so long after its last box.

    Raises:
        ConfigError: the size of the picture is missing, or of no use.
    """

    form: Annotated[str, checked_by(_check_form)]
    topic: Annotated[str, checked_by(check_filter)]
    name: Annotated[str, Field(min_length=1)] | None = None
    width_px: Annotated[int, Field(ge=16)] | None = None
    height_px: Annotated[int, Field(ge=16)] | None = None
    labels: tuple[str, ...] = ()
    offset_ms: Annotated[float, Field(ge=-60_000, le=60_000)] = 0.0
    max_apart_ms: Annotated[float, Field(ge=1, le=1000)] = 100.0
    keep_s: Annotated[float, Field(ge=0.2, le=10)] = 1.5
    tracks: Literal["given", "own"] = "given"
    forget_s: Annotated[float, Field(gt=0)] = 10.0

    def __post_init__(self) -> None:
        sizes = (self.width_px, self.height_px)
        if FORMS[self.form].is_in_pixels and None in sizes:
            raise ConfigError(
                f"boxes of form {self.form} are in pixels of a picture whose size no message tells: give width_px and "
                "height_px of the picture in which it looks for people"
            )
        if not FORMS[self.form].is_in_pixels and sizes != (None, None):
            raise ConfigError(f"width_px and height_px are of no use for boxes of form {self.form}; remove them")

    @property
    def known_labels(self) -> frozenset[str]:
        """What people are called, in small letters."""
        return frozenset(label.casefold() for label in self.labels or FORMS[self.form].labels)

    def is_for(self, message: BoxMessage, *, camera_id: str) -> bool:
        """Whether a message is about the camera of this id."""
        name = self.name or (camera_id if FORMS[self.form].shares_topic else None)
        return name is None or message.camera is None or message.camera == name

"""What every form of message about boxes is read into, and how a payload from outside is read."""

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import Box

_MOST_BYTES = 1 << 20
_MOST_BOXES = 256
_MOST_FAULTS = 3
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)?")


@dataclass(frozen=True)
class GivenBox:
    """One object as somebody else has found it.

    box: (left, top, right, bottom), from the upper left corner, in shares of the picture; in pixels of the sender's
    picture where the form is one of pixels, see `BoxForm`. score: from 0 to 1. label: what it is; None: the sender does
    not know yet. track: the sender's name for it, the same in each message; None: it has none.
    """

    box: Box
    score: float
    label: str | None
    track: str | None


@dataclass(frozen=True)
class BoxMessage:
    """What a message says about one frame.

    camera: as the sender calls it; None where the message does not say. capture_ns: of the frame, UTC.
    is_whole: whether the boxes are all that were found in the frame, or some of them, and others come separately.
    """

    camera: str | None
    capture_ns: int
    boxes: tuple[GivenBox, ...]
    is_whole: bool

    def __post_init__(self) -> None:
        if len(self.boxes) > _MOST_BOXES:
            raise DataError(f"expected at most {_MOST_BOXES} boxes of one frame, found {len(self.boxes)}")


class PayloadModel(BaseModel):
    """Part of a message that others define: what we need of it, while unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=PayloadModel)


def check_size(payload: bytes) -> bytes:
    """Return a payload that is not too large.

    Raises:
        DataError: it is.
    """
    if len(payload) > _MOST_BYTES:
        raise DataError(f"expected at most {_MOST_BYTES} bytes, found {len(payload)}")
    return payload


def parse_payload(payload: bytes, model: type[Model]) -> Model:
    """Read a JSON payload.

    Raises:
        DataError: it is not JSON, too large, or a field is missing or wrong; the first faults are listed.
    """
    try:
        return model.model_validate_json(check_size(payload))
    except ValidationError as error:
        raise DataError(describe_faults(error)) from error


def describe_faults(error: ValidationError) -> str:
    """The first faults of a message, each with its place. No value is repeated."""
    found = error.errors(include_url=False, include_input=False)
    places = [f"{'.'.join(map(str, fault['loc'])) or 'message'}: {fault['msg']}" for fault in found[:_MOST_FAULTS]]
    more = [f"and {len(found) - _MOST_FAULTS} more"] if len(found) > _MOST_FAULTS else []
    return "; ".join(places + more)


def utc_ns(text: object) -> object:
    """Nanoseconds since 1970 of a time such as 2026-01-01T00:00:00.25Z; without a time zone it is UTC.

    Raises:
        ValueError: it is no such time.
    """
    parts = _TIME.fullmatch(text) if isinstance(text, str) else None
    if not parts:
        raise ValueError("expected a time such as 2026-01-01T00:00:00.250Z")
    seconds, fraction, zone = parts.groups()
    moment = datetime.fromisoformat(seconds + ("+00:00" if zone in (None, "Z") else zone))
    since = moment.astimezone(timezone.utc) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * 10**9 + int((fraction or "").ljust(9, "0"))


UtcTime = Annotated[int, BeforeValidator(utc_ns)]
"""A time in a message, as nanoseconds."""


def clip_score(score: float) -> float:
    """A score from 0 to 1. Some senders give -0.1 where only their tracker knows of an object."""
    return min(max(score, 0.0), 1.0)

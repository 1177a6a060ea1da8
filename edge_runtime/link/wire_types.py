"""What messages are made of: the types of their fields, and the base model with the rule of growth."""

import base64
import binascii
from collections.abc import Set
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from edge_runtime.contract.strict_model import StrictModel


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def to_base64(data: bytes) -> str:
    """Bytes as the JSON form of a message holds them."""
    return base64.b64encode(data).decode()


Bytes = Annotated[
    bytes,
    BeforeValidator(_from_base64),
    PlainSerializer(to_base64, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64", "pattern": "^[A-Za-z0-9+/]*={0,2}$"}),
]
Unsigned = Annotated[int, Field(ge=0, lt=2**64)]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
# Not strict: decoders of CBOR give a list.
NormalisedBox = Annotated[tuple[Fraction, Fraction, Fraction, Fraction], Field(strict=False)]
Boot = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Space = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
TrackId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")]
Name = Annotated[str, Field(min_length=1, max_length=64)]
GapReason = Literal["overflow", "age", "disk", "lost"]


@cache
def required_fields(model: type[BaseModel]) -> Set[str]:
    """Fields that every payload holds: all but those with the default None, which later minor versions added."""
    fields = model.model_fields.items()
    return dict.fromkeys(name for name, field in fields if field.is_required() or field.default is not None).keys()


def _state_rule(schema: dict[str, Any], model: type[BaseModel]) -> None:
    """Write the rule of growth into the JSON Schema of a message or a part of one."""
    schema["required"] = list(required_fields(model))
    schema["additionalProperties"] = True


class WireModel(StrictModel):
    """A message, or a part of one. Nothing is converted: a number as text is an error."""

    model_config = ConfigDict(strict=True, json_schema_extra=_state_rule)

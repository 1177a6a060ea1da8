"""Identity messages: which track belongs to which person, as a gallery publishes it in JSON.

The topic is `reid/v1/<site>/identity/<space>`, QoS 1, not retained. They grow by the rule of `link.messages`: receivers
ignore unknown fields. `identity.schema.json` describes them. The ids of people are random: they mean nothing outside of
the gallery that made them.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from edge_runtime.link.wire_types import Fraction, Space, TrackId, Unsigned, WireModel, required_fields

PersonId = Annotated[str, Field(min_length=1, max_length=100)]


class IdentityMessage(WireModel):
    """What the gallery has decided or changed. May arrive twice.

    event: start (a new person, with the first track), join (one more track of a person), rename (the track was given
    to another person than `previous`), end (the person was not seen for so long that no track will be joined any more;
    `track` is the last one).
    node, camera: where the track was. start_ns, end_ns: when, UTC. probability: that the track is this person's.
    borrowed: how much of the figures behind it comes from another site, from 1 to 0. Both are None after a correction
    by hand (`by_hand`) and where the node itself said that the track carries on another one.
    """

    minor: Unsigned = 0
    event: Literal["start", "join", "rename", "end"]
    person: PersonId
    previous: PersonId | None
    space: Space
    track: TrackId
    node: str
    camera: str
    start_ns: Unsigned
    end_ns: Unsigned
    probability: Fraction | None
    borrowed: Fraction | None
    by_hand: bool
    publish_ns: Unsigned


def identity_schema() -> dict[str, Any]:
    """JSON Schema of the message, as committed in `identity.schema.json`."""
    schema = IdentityMessage.model_json_schema(mode="serialization")
    rule = "Receivers ignore unknown fields and accept any minor version; later minor versions only add fields."
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "reid/v1/identity", "$comment": rule}
    assert set(schema["required"]) == set(required_fields(IdentityMessage))
    return head | schema

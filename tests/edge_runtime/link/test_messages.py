"""Messages: what a node cannot write, ids and boxes."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.link.messages import new_track_id, normalise_box
from edge_runtime.link.wire_types import required_fields
from tests.golden.wire_messages import MESSAGES


def parts(message: BaseModel) -> list[BaseModel]:
    """A message and the models inside it."""
    inner = [value for _, value in message if isinstance(value, BaseModel)]
    return [message, *inner]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_node_cannot_write_an_unknown_field(name: str) -> None:
    """A misspelt field is an error where the message is made, not a field that receivers silently miss."""
    for part in parts(MESSAGES[name]):
        fields: dict[str, Any] = dict(part)
        assert type(part)(**fields) == part
        with pytest.raises(ValidationError, match="surplus"):
            type(part)(**fields, surplus=1)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_cannot_be_changed(name: str) -> None:
    """It may be shared between threads."""
    message = MESSAGES[name]
    assert isinstance(message, StrictModel)
    with pytest.raises(ValidationError, match="frozen"):
        message.boot = "f" * 16  # type: ignore[attr-defined]


def test_a_field_with_a_default_is_none_or_one_that_spool_and_publisher_set() -> None:
    """None is how a field of a later minor version is written; with any other default old messages would be refused."""
    for part in (part for message in MESSAGES.values() for part in parts(message)):
        defaults = {name for name in required_fields(type(part)) if not type(part).model_fields[name].is_required()}
        assert defaults <= {"minor", "boot", "seq", "publish_ns", "historical"}


def test_track_ids_sort_by_time() -> None:
    """They are UUIDs of version 7, and differ."""
    ids = [new_track_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [i[:13] for i in ids] == sorted(i[:13] for i in ids)
    assert {(i[14], i[19] in "89ab") for i in ids} == {("7", True)}


def test_a_box_is_clipped_to_the_frame() -> None:
    """A person who is half outside has a box that ends at the edge of the frame."""
    assert normalise_box((-10, 50, 100, 250), frame_height_px=200, frame_width_px=200) == (0.0, 0.25, 0.5, 1.0)

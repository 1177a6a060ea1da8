"""One message of each kind with fixed values, as this version of the node writes it.

`python tests/golden/wire_messages.py` writes the payloads of a new minor version into their folder below `messages/`,
the JSON Schema beside `edge_runtime/link/messages.py`, and that of boxes from outside. Folders of earlier minor
versions are never written again: receivers must continue to read exactly what those versions wrote.
"""

import json
from pathlib import Path

import numpy as np
from pydantic import BaseModel

from edge_runtime.boxes import plain_boxes
from edge_runtime.contract.descriptor import Codec, encode
from edge_runtime.link import messages
from edge_runtime.link.messages import (
    MINOR,
    Birth,
    CameraStatus,
    DescriptorMessage,
    GapMessage,
    ModelCard,
    NodeStatus,
    Quality,
    TrackMessage,
    Vector,
)
from edge_runtime.link.wire_format import encode_message, message_schema, seal
from tests.golden.rule import symmetric
from tests.support.sample_messages import MANIFEST, SPACE

FOLDER = Path(__file__).resolve().parent / "messages"
BOOT = "0123456789abcdef"
_TRACK = "019b7e1c-2f00-7abc-8def-0123456789ab"
_EARLIER_TRACK = "019b7e1c-0000-7abc-8def-0123456789ab"
_OBSERVATION = {
    "boot": BOOT,
    "publish_ns": 1_767_225_600_060_000_000,
    "track": _TRACK,
    "space": SPACE,
    "model": MANIFEST.model_id,
    "precision": "fp32",
    "capture_ns": 1_767_225_600_000_000_000,
    "time_source": "rtcp-ntp",
    "uncertainty_ns": 5_000_000,
    "monotonic_ns": 86_400_000_000_000,
    "box": (0.125, 0.25, 0.375, 0.875),
    "frame_height_px": 576,
    "frame_width_px": 768,
    "score": 0.9375,
    "is_clock_synchronised": True,
    "zones": ("entrance",),
    "given_track": "1767225599.5-a1b2c3",
}


def _vector(codec: Codec) -> Vector:
    numbers = symmetric("wire_messages.descriptor", 8)
    return Vector.of(encode((numbers / np.linalg.norm(numbers)).astype(np.float32), codec=codec))


def _descriptor(seq: int, codec: Codec) -> DescriptorMessage:
    quality = Quality(size_px=360.0, blur=118.5, truncation=0.25, overlap=0.125, sharpness=0.375, value=0.5)
    ours = {"seq": seq, "kind": "crop", "crops": 1, "dispersion": 0.0, "quality": quality, "descriptor": _vector(codec)}
    ours |= {"waited_ns": 400_000_000}
    return DescriptorMessage.model_validate(_OBSERVATION | ours)


def _track(seq: int, event: str) -> TrackMessage:
    is_end = event == "end"
    ours = {"seq": seq, "event": event, "crops": 3 if is_end else 0, "dispersion": 0.0625 if is_end else 0.0}
    if event != "start":
        ours |= {"quality": 0.75, "continues": _EARLIER_TRACK}
    return TrackMessage.model_validate(
        _OBSERVATION | ours | {"descriptor": _vector("f16") if is_end else None, "historical": is_end}
    )


MESSAGES: dict[str, BaseModel] = {
    "descriptor_f16.cbor": _descriptor(7, "f16"),
    "descriptor_f32.cbor": _descriptor(8, "f32"),
    "descriptor_i8.cbor": _descriptor(9, "i8"),
    "track_start.cbor": _track(6, "start"),
    "track_update.cbor": _track(10, "update"),
    "track_end.cbor": _track(2**64 - 1, "end"),
    "gap.cbor": GapMessage(boot=BOOT, first=2, last=5, why="overflow", publish_ns=1_767_225_600_070_000_000),
    "node_status_online.json": NodeStatus(state="online", boot=BOOT, oldest_seq=6, next_seq=11),
    "node_status_offline.json": NodeStatus(state="offline", boot=BOOT, oldest_seq=None, next_seq=None),
    "camera_status.json": CameraStatus(state="reconnecting", why="no frame for 3 s"),
    "birth.json": Birth(boot=BOOT, node_card={"cameras": ["door"], "cpu_threads": 1}, models=(ModelCard.of(MANIFEST),)),
}
"""File name -> message. The part of the name before the first underscore or dot tells its kind."""

METRICS = {"frames": 446, "descriptors": 366, "latency_p50_ms": 51.0, "start_to_first_message_s": None}
"""Metrics have no model: any JSON object."""


def encode_sample(name: str) -> bytes:
    """The payload of one of MESSAGES."""
    message = MESSAGES[name]
    if isinstance(message, DescriptorMessage | TrackMessage | GapMessage):
        return seal(encode_message(message))
    return message.model_dump_json().encode()


def _write_samples(folder: Path) -> None:
    folder.mkdir()
    for name in MESSAGES:
        (folder / name).write_bytes(encode_sample(name))
    (folder / "metrics.json").write_text(json.dumps(METRICS))


if __name__ == "__main__":
    Path(messages.__file__).with_name("messages.schema.json").write_text(json.dumps(message_schema(), indent=2) + "\n")
    boxes = json.dumps(plain_boxes.box_schema(), indent=2) + "\n"
    Path(plain_boxes.__file__).with_name("boxes.schema.json").write_text(boxes)
    if not (samples := FOLDER / f"minor_{MINOR}").exists():
        _write_samples(samples)

"""Messages, a manifest and settings that the tests of the link share."""

import time
from pathlib import Path

import numpy as np

from edge_runtime.contract.descriptor import encode, normalise
from edge_runtime.contract.manifest import Artefact, Build, Descriptor, Input, Manifest, Part, Terms, space_id
from edge_runtime.link.messages import DescriptorMessage, Quality, TrackMessage, Vector, new_track_id
from edge_runtime.link.publisher import Publisher
from edge_runtime.link.spool import Spool
from edge_runtime.link.spool_file import SpoolSettings

WEIGHTS = "ab" * 32
INPUT = Input(height_px=128, width_px=64)
DESCRIPTOR = Descriptor(length=8, parts=(Part(name="global", length=8),))
SPACE = space_id(WEIGHTS, INPUT, descriptor=DESCRIPTOR)
FOREIGN_SPACE = "f" * 16
MANIFEST = Manifest(
    model_id=f"osnet-market-{WEIGHTS[:8]}",
    architecture="osnet",
    weights_sha256=WEIGHTS,
    recipe="test",
    commit="0" * 40,
    created="2026-01-01T00:00:00Z",
    space_id=SPACE,
    input=INPUT,
    descriptor=DESCRIPTOR,
    artefact=Artefact(kind="onnx", file="model.onnx", sha256="cd" * 32),
    build=Build(backend="onnxruntime", precision="fp32"),
    terms=Terms(weights="none", training_data="none"),
)


def vector() -> Vector:
    """A unit descriptor of eight numbers."""
    return Vector.of(encode(normalise(np.arange(1, 9, dtype=np.float32)[None])[0], codec="f16"))


def descriptor_message(**changes: object) -> DescriptorMessage:
    """A descriptor of one crop, taken now."""
    fields = {
        "track": new_track_id(),
        "space": SPACE,
        "model": MANIFEST.model_id,
        "precision": "fp32",
        "capture_ns": time.time_ns(),
        "time_source": "arrival",
        "uncertainty_ns": 50_000_000,
        "monotonic_ns": time.monotonic_ns(),
        "box": (0.1, 0.2, 0.3, 0.9),
        "frame_height_px": 576,
        "frame_width_px": 768,
        "score": 0.9,
        "kind": "crop",
        "crops": 1,
        "dispersion": 0.0,
        "quality": Quality(size_px=200.0, blur=12.5, truncation=0.0),
        "descriptor": vector(),
    }
    return DescriptorMessage.model_validate(fields | changes)


def track_message(**changes: object) -> TrackMessage:
    """A track that ends, with the descriptor of three crops."""
    shared = DescriptorMessage.model_fields.keys() & TrackMessage.model_fields.keys() - {"quality"}
    fields = descriptor_message().model_dump(include=set(shared))
    ending = {"event": "end", "crops": 3, "dispersion": 0.02, "descriptor": vector()}
    return TrackMessage.model_validate(fields | ending | changes)


def open_spool(folder: Path, **changes: float) -> Spool:
    """A spool of node `cam` with room for everything a test spools."""
    limits = {"max_bytes": 16 << 20, "max_age_s": 3600, "min_free_bytes": 0} | changes
    settings = SpoolSettings(
        folder / "spool.sqlite",
        max_mib=limits["max_bytes"] / 2**20,
        max_age_h=limits["max_age_s"] / 3600,
        min_free_mib=limits["min_free_bytes"] / 2**20,
    )
    return Spool(settings, node="cam")


def publish(publisher: Publisher, count: int) -> range:
    """Spool some descriptors of camera `door` in one step."""
    return publisher.publish("door", [descriptor_message() for _ in range(count)])


def wait_for(condition: object, *, timeout_s: float = 15.0) -> None:
    """Wait until a callable gives something true; a test that waits too long fails.

    It asks less and less often, up to five times a second: asking a daemon for its figures takes time from the daemon.
    """
    assert callable(condition)
    deadline, pause_s = time.monotonic() + timeout_s, 0.01
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(pause_s)
        pause_s = min(1.3 * pause_s, 0.2)

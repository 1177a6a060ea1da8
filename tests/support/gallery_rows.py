"""Rows for the stores of a gallery: made-up people, each with vectors of its own."""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import Codec, encode, normalise
from edge_runtime.gallery.descriptor_store import Row
from edge_runtime.link.messages import Quality

SPACE, OTHER_SPACE = "a" * 16, "b" * 16
LENGTH = 64
START_NS = 1_800_000_000_000_000_000 // 86_400_000_000_000 * 86_400_000_000_000  # midnight, 2027-01-15
DAY_NS = 86_400_000_000_000
BOOT = "0123456789abcdef"


def vector_of(person: int, *, length: int = LENGTH, noise: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    """A unit vector near that of the person."""
    centre = np.random.default_rng(person).standard_normal(length)
    offset = np.random.default_rng([person, seed]).standard_normal(length)
    return normalise((centre + noise * offset)[None])[0]


def track_id(number: int) -> str:
    """The id of a track, the same in every run."""
    return f"01980000-0000-7000-8000-{number:012x}"


def sample_row(seq: int, *, who: int = 0, codec: Codec = "f16", **changes: object) -> Row:
    """Row number `seq` of one node, captured `seq` seconds after midnight, with a vector of somebody."""
    fields: dict[str, object] = {
        "space": SPACE,
        "site": "shop",
        "node": "gate",
        "camera": "door",
        "boot": BOOT,
        "seq": seq,
        "track": track_id(seq),
        "kind": "track",
        "capture_ns": START_NS + seq * 1_000_000_000,
        "uncertainty_ns": 50_000_000,
        "box": (0.1, 0.2, 0.3, 0.9),
        "quality": Quality(size_px=200.0, blur=12.5, truncation=0.25),
        "dispersion": 0.02,
        "crops": 5,
        "precision": "fp32",
        "vector": encode(vector_of(who, seed=seq), codec=codec),
        "person": None,
        "expires_at_ns": START_NS + 7 * DAY_NS,
    }
    return Row(**(fields | changes))  # type: ignore[arg-type]

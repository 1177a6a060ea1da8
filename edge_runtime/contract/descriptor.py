"""Descriptors: L2 normalisation, distances, and the compact codecs of the messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError

Codec = Literal["f32", "f16", "i8"]
Describe = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""(N, H, W, 3) uint8 RGB images -> (N, D) float32 descriptors.

For cosine distance the descriptors may have any L2 length (`Engine.describe`). The papers' flip test and Euclidean
distance need them as the network gives them, without normalisation (`Engine.describe_raw`,
`train.models.pixels.describe_raw_with`).
"""

_DTYPES: dict[Codec, np.dtype[Any]] = {"f32": np.dtype("<f4"), "f16": np.dtype("<f2"), "i8": np.dtype("i1")}
_LEAST_LENGTH = 1e-12  # of what can be scaled to length 1
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class EncodedDescriptor:
    """One encoded descriptor: `length` little-endian numbers in `data`, each to be multiplied by `scale`."""

    codec: Codec
    scale: float
    length: int
    data: bytes


def normalise(descriptors: NDArray[np.floating]) -> NDArray[np.float32]:
    """Scale each row to unit L2 length, summing in float32 whatever the input's precision.

    descriptors: (N, D) floating. Returns (N, D) float32; an all-zero row stays zero.
    """
    rows = np.asarray(descriptors, np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, np.float32(_LEAST_LENGTH)), np.float32)


def cosine_distance(queries: NDArray[np.float32], gallery: NDArray[np.float32]) -> NDArray[np.float32]:
    """1 - cosine for L2-normalised rows. queries: (Q, D), gallery: (G, D). Returns (Q, G) float32 in [0, 2]."""
    return np.asarray(np.clip(1.0 - queries @ gallery.T, 0.0, 2.0), np.float32)


def encode(descriptor: NDArray[np.float32], *, codec: Codec) -> EncodedDescriptor:
    """Encode one descriptor. descriptor: (D,) float32, L2-normalised.

    `i8` uses one scale for the whole vector: the largest absolute value becomes 127.
    """
    if codec == "i8":
        scale = float(np.abs(descriptor).max()) / 127.0 or 1.0
        numbers = np.rint(descriptor / scale)
    else:
        scale, numbers = 1.0, descriptor
    return EncodedDescriptor(codec, scale, len(descriptor), numbers.astype(_DTYPES[codec]).tobytes())


def decode(encoded: EncodedDescriptor) -> NDArray[np.float32]:
    """Decode a descriptor and normalise it again. Returns (D,) float32.

    Raises:
        DataError: the number of bytes does not fit codec and length.
    """
    numbers = _numbers(encoded) * np.float32(encoded.scale)
    return np.asarray(normalise(numbers[None])[0], np.float32)


def has_direction(encoded: EncodedDescriptor) -> bool:
    """Whether `decode` surely gives a vector of length 1: its numbers are finite, not all 0, and of a usual size.

    Raises:
        DataError: the number of bytes does not fit codec and length.
    """
    numbers = _numbers(encoded)
    # Unlike np.dot, np.vdot does not warn where the sender's numbers overflow.
    square = float(np.vdot(numbers, numbers)) * encoded.scale * encoded.scale
    return encoded.scale <= _LARGEST and _LEAST_LENGTH**2 <= square <= _LARGEST


def _numbers(encoded: EncodedDescriptor) -> NDArray[np.float32]:
    """The numbers before they are scaled."""
    dtype = _DTYPES[encoded.codec]
    if len(encoded.data) != encoded.length * dtype.itemsize:
        raise DataError(
            f"a {encoded.codec} descriptor of {encoded.length} numbers takes {encoded.length * dtype.itemsize} bytes, "
            f"found {len(encoded.data)}; the message is damaged"
        )
    return np.frombuffer(encoded.data, dtype).astype(np.float32)

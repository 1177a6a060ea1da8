"""Descriptors keep their direction through normalisation and the codecs of the wire."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.descriptor import Codec, EncodedDescriptor, cosine_distance, decode, encode, normalise
from edge_runtime.contract.errors import DataError

# Half a step of the number format in each element, times the square root of 512 elements, with some room; for f32 two
# float32 rounding errors, because decoding normalises once more.
LARGEST_ERROR: dict[Codec, float] = {"f32": 3e-7, "f16": 1e-3, "i8": 3e-2}


def descriptors(count: int, length: int = 512, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, length)).astype(np.float32)


def test_rows_become_unit_length_whatever_the_precision() -> None:
    """2,048 values of 8.0 overflow a half-precision sum of squares; a row of zeros stays zero."""
    rows = np.concatenate([np.full((1, 2048), 8.0), np.zeros((1, 2048))]).astype(np.float16)
    lengths = np.linalg.norm(normalise(rows), axis=1)
    assert lengths == pytest.approx([1.0, 0.0], abs=1e-6)


def test_cosine_distance_equals_one_minus_the_dot_product() -> None:
    """0 for the same, 2 for the opposite, never outside."""
    rows = normalise(descriptors(3))
    found = cosine_distance(rows, np.concatenate([rows, -rows]))
    assert found == pytest.approx(1 - rows @ np.concatenate([rows, -rows]).T, abs=1e-6)
    assert np.diag(found) == pytest.approx(0, abs=1e-6)
    assert (found.min(), found.max()) == (pytest.approx(0, abs=1e-6), pytest.approx(2, abs=1e-6))
    assert found.min() >= 0


@given(st.integers(0, 2**32 - 1), st.sampled_from(["f32", "f16", "i8"]), st.integers(1, 700))
def test_a_codec_round_trip_moves_a_descriptor_little(seed: int, codec: Codec, length: int) -> None:
    """The error of the whole vector stays below the format's, and the result is of unit length again."""
    row = normalise(descriptors(1, length, seed=seed))[0]
    encoded = encode(row, codec=codec)
    back = decode(encoded)
    assert np.linalg.norm(back - row) <= LARGEST_ERROR[codec] * max(1.0, np.sqrt(length / 512))
    assert np.linalg.norm(back) == pytest.approx(1, abs=1e-5)
    assert len(encoded.data) == length * {"f32": 4, "f16": 2, "i8": 1}[codec]


def test_bytes_are_little_endian() -> None:
    """1.0 in half precision is 0x3c00."""
    assert encode(np.array([1.0], np.float32), codec="f16").data == b"\x00\x3c"


def test_a_zero_descriptor_survives_i8() -> None:
    """Nothing to scale by."""
    assert decode(encode(np.zeros(4, np.float32), codec="i8")).tolist() == [0, 0, 0, 0]


def test_missing_bytes_are_refused() -> None:
    """Expected and found are both in the sentence."""
    with pytest.raises(DataError, match=r"512 numbers takes 1024 bytes, found 1000"):
        decode(EncodedDescriptor("f16", 1.0, 512, b"\0" * 1000))

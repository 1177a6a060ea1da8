"""Descriptors keep their direction through normalisation and the codecs of the wire."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contract.descriptor import (
    Codec,
    EncodedDescriptor,
    cosine_distance,
    decode,
    encode,
    has_direction,
    normalise,
)
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


@given(
    st.sampled_from(["f32", "f16", "i8"]),
    st.lists(
        st.sampled_from([0, 1, 0x7C00, 0x3C00, 0xFC00, 0x7F80, 0x7D01, 0x8000, 0x7BFF, 0x1F00]), min_size=2, max_size=20
    ),
    st.sampled_from([1.0, 0.5, 1e-300, 1e-40, 1e-20, 1e-9, 1e9, 1e39, 1e300]),
)
def test_what_has_a_direction_is_of_unit_length_when_decoded(codec: Codec, words: list[int], scale: float) -> None:
    """Whatever bytes and scale hold: numbers that are infinite or none, overflow, and zeros of all kinds."""
    data = np.array(words[: len(words) // 2 * 2], "<u2").tobytes()
    encoded = EncodedDescriptor(codec, scale, len(data) // {"f32": 4, "f16": 2, "i8": 1}[codec], data)
    if has_direction(encoded):
        assert np.linalg.norm(decode(encoded)) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("codec", ["f32", "f16", "i8"])
def test_what_a_node_sends_has_a_direction_and_what_is_no_descriptor_has_none(codec: Codec) -> None:
    """Zeros, and where the codec has them infinity and no number."""
    assert has_direction(encode(normalise(descriptors(1))[0], codec=codec))
    for number in (0.0,) if codec == "i8" else (0.0, np.inf, -np.inf, np.nan):
        row = np.full(512, 0.0 if number == 0 else 0.1, np.float32)
        row[7] = number
        assert not has_direction(encode(row, codec=codec))


def test_missing_bytes_are_refused() -> None:
    """Expected and found are both in the sentence."""
    with pytest.raises(DataError, match=r"512 numbers takes 1024 bytes, found 1000"):
        decode(EncodedDescriptor("f16", 1.0, 512, b"\0" * 1000))

"""How good a moment is: each part by its definition."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.people.shot_quality import ShotQuality, measure_overlaps, measure_sharpness, measure_truncation

BEST = ShotQuality(overlap=0.0, sureness=1.0, truncation=0.0, size_px=200.0, sharpness=0.5)
PARTS = st.builds(
    ShotQuality,
    overlap=st.floats(0, 1),
    sureness=st.floats(0, 3),
    truncation=st.floats(0, 1),
    size_px=st.floats(0, 1000),
    sharpness=st.floats(0, 5),
)


def boxes(*rows: tuple[float, float, float, float]) -> NDArray[np.float64]:
    return np.array(rows, np.float64).reshape(-1, 4)


def test_the_number_is_the_product_of_its_parts() -> None:
    """As the formula in the file says, with figures worked out by hand."""
    assert BEST.value == 1
    found = ShotQuality(overlap=0.1, sureness=0.8, truncation=0.25, size_px=32, sharpness=0.05)
    assert found.value == pytest.approx(0.75 * 0.8 * 0.75 * 0.5 * 0.5)
    assert ShotQuality(overlap=0.4, sureness=1, truncation=0, size_px=200, sharpness=1).value == 0


@given(quality=PARTS)
def test_the_number_lies_between_0_and_1(quality: ShotQuality) -> None:
    """Whatever a detector's scores are."""
    assert 0 <= quality.value <= 1


def test_another_person_disturbs_by_what_she_covers_or_by_half_of_what_is_inside() -> None:
    """Hidden people too; one box alone is not disturbed."""
    large, small = (0, 0, 100, 200), (80, 100, 120, 150)
    assert measure_overlaps(boxes(large, small), boxes()) == pytest.approx([0.5 * 0.5, 0.5])
    assert measure_overlaps(boxes(large), boxes(small)) == pytest.approx([0.25])
    assert measure_overlaps(boxes(large), boxes((50, 0, 150, 200))) == pytest.approx([0.5])
    assert measure_overlaps(boxes(large), boxes()).tolist() == [0]
    assert measure_overlaps(boxes(), boxes(small)).tolist() == []


def test_truncation_counts_the_sides_on_the_edge() -> None:
    """A quarter each."""
    assert measure_truncation((1, 1, 99, 99), height_px=100, width_px=100) == 0
    assert measure_truncation((0, 1, 100, 99), height_px=100, width_px=100) == 0.5
    assert measure_truncation((0, 0, 100, 100), height_px=100, width_px=100) == 1


def test_blur_lowers_sharpness_and_neither_size_nor_light_does() -> None:
    """The same person at twice the pixels, or in half the light, is as sharp."""
    random = np.random.default_rng(0)
    person = cv2.resize(random.integers(0, 256, (32, 16), dtype=np.uint8), (80, 160), interpolation=cv2.INTER_CUBIC)
    sharp = measure_sharpness(np.asarray(person, np.uint8))
    twice = cv2.resize(person, (160, 320), interpolation=cv2.INTER_CUBIC)
    assert measure_sharpness(np.asarray(twice, np.uint8)) == pytest.approx(sharp, rel=0.15)
    assert measure_sharpness(np.asarray(person // 2, np.uint8)) == pytest.approx(sharp, rel=0.1)
    blurred = [measure_sharpness(np.asarray(cv2.GaussianBlur(person, (0, 0), s), np.uint8)) for s in (1, 2, 4, 8)]
    assert sharp > blurred[0] > blurred[1] > blurred[2] > blurred[3]
    assert measure_sharpness(np.full((50, 20), 128, np.uint8)) == 0

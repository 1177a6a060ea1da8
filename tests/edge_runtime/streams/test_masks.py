"""Where a camera must not look, nobody is followed."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.people.detector import Detection
from edge_runtime.streams.masks import outside_masks

HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
CORNER = ((1.0, 1.0), (0.8, 1.0), (1.0, 0.8))
ELL = ((0.0, 0.0), (1.0, 0.0), (1.0, 0.2), (0.2, 0.2), (0.2, 1.0), (0.0, 1.0))


def standing(x: float, y: float) -> Detection:
    """A person of 20 x 60 pixels whose foot point is there, in a frame of 400 x 200 pixels."""
    return Detection((x - 10, y - 60, x + 10, y), 0.9)


def is_seen(x: float, y: float, *masks: tuple[tuple[float, float], ...]) -> bool:
    """Whether a person who stands there is seen."""
    return bool(outside_masks([standing(x, y)], masks, height_px=200, width_px=400))


def test_the_foot_point_decides() -> None:
    """A person whose head is in a mask is seen, one whose feet are in it is not; a polygon need not be convex."""
    assert not is_seen(199, 100, HALF)
    assert not is_seen(200, 100, HALF)
    assert is_seen(201, 100, HALF)
    assert not is_seen(395, 200, CORNER)
    assert is_seen(395, 150, CORNER)
    assert is_seen(200, 60, ELL)
    assert not is_seen(200, 30, ELL)


@given(st.floats(10, 390), st.floats(60, 200))
def test_several_masks_hide_what_each_of_them_hides(x: float, y: float) -> None:
    """In any order, and without a mask everybody is seen."""
    assert is_seen(x, y)
    assert is_seen(x, y, HALF, CORNER) == is_seen(x, y, CORNER, HALF) == (is_seen(x, y, HALF) and is_seen(x, y, CORNER))

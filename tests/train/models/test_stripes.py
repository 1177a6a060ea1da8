"""Every network that cuts its maps says at which heights the parts are equal."""

import pytest

from train.models.catalog import build
from train.models.stripes import fault_of_stripes


@pytest.mark.parametrize(
    ("architecture", "height_px", "fault"),
    [
        ("plr_osnet_x0_25", 64, None),
        ("plr_osnet_x0_25", 96, "6 rows, which make no 4 equal stripes; use a multiple of 64 pixels"),
        ("mgn_part2_4", 96, "6 rows, which make no 4 equal stripes; use a multiple of 64 pixels"),
        ("pyramid_r50", 96, None),
        ("pyramid_r50", 64, "4 rows, which make no 6 equal stripes; use a multiple of 96 pixels"),
        ("osnet_x0_25", 75, None),
    ],
)
def test_a_height_is_right_where_all_stripes_are_equal(architecture: str, height_px: int, fault: str | None) -> None:
    """MGN's parts need a common multiple; a network without stripes takes any height."""
    found = fault_of_stripes(build(architecture, classes=2).eval(), height_px=height_px, width_px=32)
    assert found == (fault and f"at a height of {height_px} pixels its maps have {fault}")

"""The two halves of a track, and the mean descriptor that is taken off."""

import numpy as np

from edge_runtime.gallery.prototypes import halve


def test_the_halves_of_a_track_are_means_of_its_first_and_its_last_crops() -> None:
    """Of length 1; the crop in the middle belongs to neither, and one crop has no halves."""
    crops = np.eye(8, dtype=np.float32)
    first, last = halve(crops[:5])
    np.testing.assert_allclose(first, (crops[0] + crops[1]) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(last, (crops[3] + crops[4]) / np.sqrt(2), rtol=1e-6)
    assert halve(crops[:1]).shape == (0, 8)
    assert halve(crops[:0]).shape == (0, 8)

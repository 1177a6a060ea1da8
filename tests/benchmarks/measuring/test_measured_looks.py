"""Real descriptors are taken apart as made-up ones were put together."""

import numpy as np
import pytest

from benchmarks.measuring.measured_looks import take_apart
from edge_runtime.contract.errors import DataError


def test_the_parts_have_the_energy_that_went_in() -> None:
    """Four hundred people at two cameras, fifty crops each; 5 % for the draw."""
    rng = np.random.default_rng(0)
    identities, cameras = np.repeat(np.arange(400), 40), np.tile(np.repeat([0, 1], 20), 400)
    people, places = rng.standard_normal((400, 32)), 0.6 * rng.standard_normal((400, 2, 32))
    crops = 0.5 * rng.standard_normal((16_000, 32))
    vectors = (1.0 + people[identities] + places[identities, cameras] + crops).astype(np.float32)
    looks = take_apart(vectors, identities, cameras=cameras, people=400, seed=0)
    for part, expected in ((looks.people, 32.0), (looks.at_camera, 0.36 * 32), (looks.crops, 0.25 * 32)):
        np.testing.assert_allclose((part**2).sum(1).mean(), expected, rtol=0.05)


def test_too_few_people_are_refused() -> None:
    """With how many there are."""
    with pytest.raises(DataError, match="expected 2 people seen by two cameras, found 1"):
        take_apart(np.eye(2, dtype=np.float32), np.zeros(2, int), cameras=np.array([0, 1]), people=2, seed=0)

"""The plane of descriptors is that of their first two principal components, of whole identities."""

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import ConfigError, DataError
from train.datasets.catalog import ReidData, Sample
from train.pictures.embedding import choose_samples, name_cameras, principal_components


def test_axes_are_the_leading_eigenvectors_of_the_covariance() -> None:
    """Up to the sign of each axis, which means nothing; with the share of the variance each one shows."""
    descriptors = np.random.default_rng(0).normal(size=(40, 7)).astype(np.float32) * np.arange(1, 8, dtype=np.float32)
    found = principal_components(descriptors)
    values, vectors = np.linalg.eigh(np.cov(descriptors.T.astype(np.float64)))
    expected = (descriptors - descriptors.mean(axis=0)) @ vectors[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(found.points), np.abs(expected), atol=1e-4)  # float32 descriptors
    assert found.shares == pytest.approx((values[-1] / values.sum(), values[-2] / values.sum()), abs=1e-6)


def test_equal_descriptors_are_one_point() -> None:
    """A network that sees no difference is drawn too, and shows no variance."""
    found = principal_components(np.ones((5, 4), np.float32))
    assert not found.points.any()
    assert found.shares == (0, 0)


def test_identities_are_drawn_whole(data: ReidData) -> None:
    """All queries and gallery images of each drawn identity, and nobody else."""
    chosen = choose_samples(data, identities=3, seed=0)
    identities = {sample.identity for sample in chosen}
    assert len(identities) == 3
    assert len(chosen) == 3 * 6
    assert {sample.path for sample in chosen} == {
        sample.path for sample in data.query + data.gallery if sample.identity in identities
    }


def test_what_cannot_be_told_apart_or_is_not_there_is_refused(data: ReidData) -> None:
    """More identities than colours, or than the test has."""
    with pytest.raises(ConfigError, match="expected at most 20 identities, one per colour, found 21"):
        choose_samples(data, identities=21, seed=0)
    with pytest.raises(DataError, match="asked for 7 identities, found 6 in the test images of patterns"):
        choose_samples(data, identities=7, seed=0)


def test_cameras_are_called_as_the_files_call_them() -> None:
    """A point of `0001_c3s1.jpg` shows 3; names that are too long for a point become numbers from 1."""
    seen = [Sample(Path("a.jpg"), 1, camera_id, camera=name) for camera_id, name in enumerate(["1", "3", "12"])]
    assert name_cameras(seen) == {0: "1", 1: "3", 2: "12"}
    assert name_cameras([*seen, Sample(Path("b.jpg"), 1, 3, camera="entrance")]) == {0: "1", 1: "2", 2: "3", 3: "4"}
    assert name_cameras([Sample(Path("c.jpg"), 1, 0)]) == {0: "1"}

"""Batches hold what they promise."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from train.training.batches.sampler import each_identity_once, identity_batches, shuffled_batches


@given(st.lists(st.integers(1, 12), min_size=4, max_size=20), st.integers(0, 2**32 - 1))
def test_identity_batches_are_p_times_k_and_use_every_image(counts: list[int], seed: int) -> None:
    """4 identities x 3 images each, no identity twice in a batch; no image again before the others had their turn."""
    labels = np.repeat(np.arange(len(counts)), counts)
    batches = list(identity_batches(labels, identities=4, images=3, random=np.random.default_rng(seed)))
    assert batches
    for batch in batches:
        groups = labels[batch].reshape(4, 3)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == 4
    uses = np.bincount(np.concatenate(batches), minlength=len(labels))
    for label, count in enumerate(counts):
        drawn = uses[labels == label]
        assert drawn.sum() <= -(-count // 3) * 3
        if count % 3 == 0:
            assert drawn.max() <= 1


def test_shuffled_batches_use_each_image_at_most_once() -> None:
    """The last, incomplete batch is left out; a seed gives one order."""
    batches = list(shuffled_batches(103, size=10, random=np.random.default_rng(1)))
    again = list(shuffled_batches(103, size=10, random=np.random.default_rng(1)))
    flat = np.concatenate(batches)
    assert len(flat) == len(set(flat)) == 100
    assert all((a == b).all() for a, b in zip(batches, again, strict=True))


@given(st.lists(st.integers(1, 12), min_size=4, max_size=20), st.integers(0, 2**32 - 1))
def test_each_identity_once_is_what_it_says(counts: list[int], seed: int) -> None:
    """4 identities x 3 images in every batch; all identities come, again only as many as fill the last batch."""
    labels = np.repeat(np.arange(len(counts)), counts)
    batches = list(each_identity_once(labels, identities=4, images=3, random=np.random.default_rng(seed)))
    assert len(batches) == -(-len(counts) // 4)
    for batch in batches:
        groups = labels[batch].reshape(4, 3)
        assert (groups == groups[:, :1]).all()
        assert len(set(groups[:, 0])) == 4
        for group, label in zip(batch.reshape(4, 3), groups[:, 0], strict=True):
            assert len(set(group)) == min(3, counts[label])
    before_last = labels[np.concatenate(batches)].reshape(-1, 3)[: len(counts), 0]
    assert set(before_last) == set(range(len(counts)))


def test_the_two_epochs_of_mgn_have_the_sizes_known_of_market_1501() -> None:
    """751 identities with 12,936 images, 16 x 4 in a batch: 47 steps over identities, about 202 over images."""
    counts = np.full(751, 17)
    counts[: 12936 - 751 * 17] += 1
    labels = np.repeat(np.arange(751), counts)
    identities, images = (
        sum(1 for _ in draw(labels, identities=16, images=4, random=np.random.default_rng(0)))
        for draw in (each_identity_once, identity_batches)
    )
    assert identities == 47
    assert 195 < images < 240


@pytest.mark.parametrize("draw", [identity_batches, each_identity_once])
def test_too_few_identities_make_no_batch(draw: Callable[..., Iterator[NDArray[np.int64]]]) -> None:
    """A batch of fewer would change the losses in silence."""
    labels = np.repeat(np.arange(3), 5)
    assert not list(draw(labels, identities=4, images=2, random=np.random.default_rng(0)))


@pytest.mark.parametrize("draw", [identity_batches, each_identity_once])
def test_a_seed_gives_one_order(draw: Callable[..., Iterator[NDArray[np.int64]]]) -> None:
    """All processes of a run draw the same batches and see the same number of them; a resumed run draws them again."""
    labels = np.repeat(np.arange(9), 5)
    first, again, other = (
        np.stack(list(draw(labels, identities=2, images=3, random=np.random.default_rng(seed)))) for seed in (4, 4, 5)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)

"""Batches hold what they promise."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.data.sampler import identity_batches, shuffled_batches


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

"""From which cosine on two descriptors count as one person."""

import numpy as np
import pytest

from edge_runtime.contract.cosine_limit import WrongPairs


@pytest.mark.parametrize("share", [0.01, 0.001])
def test_a_promised_share_is_kept_on_pairs_that_were_not_used_for_it(share: float) -> None:
    """Within a factor of two, with a longer tail than a normal distribution has."""
    rng = np.random.default_rng(0)
    names = np.arange(20_000)
    limit = WrongPairs(rng.standard_t(4, 20_000) * 0.1, np.stack([names, names], 1)).limit(share)
    assert limit is not None
    assert not limit.is_borrowed
    later = (rng.standard_t(4, 200_000) * 0.1 >= limit.cosine).mean()
    assert limit.low < later < limit.high
    assert share / 2 <= later <= share * 2


@pytest.mark.parametrize(("pairs", "tracks"), [(19, 19), (100, 4)])
def test_with_few_pairs_or_tracks_there_is_no_limit(pairs: int, tracks: int) -> None:
    """The caller borrows one, and says so."""
    names = np.arange(pairs) % tracks
    assert WrongPairs(np.linspace(0, 0.5, pairs), np.stack([names, names], 1)).limit(0.01) is None

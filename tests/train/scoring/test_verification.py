"""True-positive rate at a fixed false-positive rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contract.errors import ConfigError, DataError
from tests.golden.retrieval import features, label_arguments, unit
from train.datasets.samples import DISTRACTOR, JUNK
from train.scoring.distances import distance_blocks
from train.scoring.verification import verify_pairs


def test_the_threshold_lets_the_allowed_share_of_wrong_pairs_pass() -> None:
    """By hand: of ten wrong pairs two may pass, so the third nearest of them is the threshold."""
    right, wrong = [0.1, 0.25, 0.9], [0.2, 0.22, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 1.0]
    found = verify_pairs(
        [np.array([right + wrong])],
        query_identities=np.array([1]),
        gallery_identities=np.array([1] * 3 + [2] * 10),
        query_cameras=np.array([0]),
        gallery_cameras=np.array([1] * 13),
        false_positive_rate=0.2,
    )
    assert (found.threshold, found.false_positive_rate, found.wrong_pairs) == (0.3, 0.2, 10)
    assert found.true_positive_rate == 2 / 3
    assert (list(found.right_pairs), list(found.accepted_pairs)) == ([3], [2])


def test_a_share_that_comes_out_even_is_used_up() -> None:
    """29 % of 100 wrong pairs are 29, though 0.29 * 100 is a little less in binary numbers."""
    found = verify_pairs(
        [np.arange(101.0)[None]],
        query_identities=np.array([1]),
        gallery_identities=np.array([1] + [2] * 100),
        query_cameras=np.array([0]),
        gallery_cameras=np.array([1] * 101),
        false_positive_rate=0.29,
    )
    assert (found.threshold, found.false_positive_rate) == (30, 0.29)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 40), st.sampled_from([0.05, 0.29, 0.5]))
def test_rates_equal_a_literal_count_over_pairs(seed: int, queries: int, images: int, rate: float) -> None:
    """Whatever the labels, with ties: no larger threshold among the distances keeps to the rate."""
    random = np.random.default_rng(seed)
    query_ids, gallery_ids = random.integers(0, 4, queries), random.integers(-1, 4, images)
    query_cameras, gallery_cameras = random.integers(0, 2, queries), random.integers(0, 2, images)
    matrix = random.integers(0, 9, (queries, images)).astype(float)
    right, wrong = [], []
    for q in range(queries):
        for g in range(images):
            same = query_ids[q] == gallery_ids[g]
            if gallery_ids[g] == JUNK or (same and query_cameras[q] == gallery_cameras[g]):
                continue
            (right if same and query_ids[q] != DISTRACTOR else wrong).append(matrix[q, g])
    arguments = {
        "query_identities": query_ids,
        "gallery_identities": gallery_ids,
        "query_cameras": query_cameras,
        "gallery_cameras": gallery_cameras,
        "false_positive_rate": rate,
    }
    allowed = int(np.floor(round(rate * len(wrong), 6)))
    if not right or not allowed:
        with pytest.raises(DataError, match=r"no query has a right image|needs at least"):
            verify_pairs([matrix], **arguments)
        return
    found = verify_pairs([matrix[:3], matrix[3:]], **arguments)
    assert found.wrong_pairs == len(wrong)
    assert sum(distance < found.threshold for distance in wrong) <= allowed
    assert sum(distance <= found.threshold for distance in wrong) > allowed
    assert found.false_positive_rate == sum(distance < found.threshold for distance in wrong) / len(wrong)
    assert found.true_positive_rate == sum(distance < found.threshold for distance in right) / len(right)


def test_memory_is_bounded_and_the_answer_is_not_changed_by_it() -> None:
    """Over many rows only the nearest wrong pairs are kept; a full sort finds the same threshold."""
    query, gallery = (np.float32(unit(features(tag))) for tag in ("query", "gallery"))
    arguments = label_arguments()
    blocks = list(distance_blocks(query, gallery, distance="cosine"))
    found = verify_pairs(blocks, **arguments, false_positive_rate=0.001)
    matrix = np.concatenate(blocks)
    same = arguments["query_identities"][:, None] == arguments["gallery_identities"]
    is_wrong = ~same & (arguments["gallery_identities"] != JUNK)
    wrong = np.sort(matrix[is_wrong])
    assert found.wrong_pairs == len(wrong)
    assert found.threshold == wrong[len(wrong) // 1000]
    interval = found.true_positive_interval()
    assert interval.low < found.true_positive_rate == interval.value < interval.high


def test_impossible_rates_are_refused() -> None:
    """Not between 0 and 1, or too small for so few pairs."""
    matrix, arguments = np.random.default_rng(0).random((60, 600)), label_arguments()
    for rate in (0.0, 1.0, -0.1, float("nan")):
        with pytest.raises(ConfigError, match="expected a false-positive rate between 0 and 1"):
            verify_pairs([matrix], **arguments, false_positive_rate=rate)
    with pytest.raises(
        DataError, match=r"a false-positive rate of 1e-06 needs at least 1000000 wrong pairs, found 33712"
    ):
        verify_pairs([matrix], **arguments, false_positive_rate=1e-6)

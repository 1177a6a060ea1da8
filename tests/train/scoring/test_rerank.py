"""k-reciprocal re-ranking against the golden matrices and a literal restatement with full matrices."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError
from tests.golden.retrieval import FIGURES, METRICS, features, label_arguments, labels, unit
from train.scoring import distances
from train.scoring.metrics import score_distances
from train.scoring.rerank import Reranking, rerank_blocks

Passed = Literal["euclidean", "squared_euclidean", "cosine"]
# The golden matrices are float64 results, stored in float32: that is 6e-8 of a distance near 1.
STORED = 1e-7


def reranked(queries: NDArray[np.floating], gallery: NDArray[np.floating], **options: object) -> NDArray[np.floating]:
    return np.concatenate(list(rerank_blocks(queries, gallery, settings=Reranking(**options))))  # type: ignore[arg-type]


def golden_features() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Queries, and the gallery without its junk."""
    return features("query"), features("gallery")[labels("gallery")[0] != -1]


@pytest.mark.parametrize(
    ("title", "is_unit", "passed"),
    [
        ("plain_euclidean_in (canonical: squared inside)", False, "euclidean"),
        ("independent_float64", False, "euclidean"),
        (
            "squared_euclidean_in (what the torchreid command line does: effectively fourth power)",
            False,
            "squared_euclidean",
        ),
        ("cosine_in (squared inside)", True, "cosine"),
        ("l2_normalised_features_independent_float64", True, "euclidean"),
    ],
)
def test_scores_equal_the_golden_figures(title: str, is_unit: bool, passed: Passed) -> None:
    """Every figure, with each distance that callers of the public code are known to pass."""
    query, gallery = (unit(rows) if is_unit else rows for rows in golden_features())
    matrix = reranked(query, gallery, passed=passed)
    expected = FIGURES["k_reciprocal"][title]["independent"]
    arguments = label_arguments(with_junk=False)
    found = score_distances(matrix, **arguments)
    assert found.mean_ap == pytest.approx(expected["mAP"], abs=1e-9)
    assert found.mean_inp == pytest.approx(expected["mINP"], abs=1e-9)
    trapezoid = score_distances(matrix, **arguments, precision_rule="trapezoid")
    assert trapezoid.mean_ap == pytest.approx(expected["mAP_trapezoid_valid_only"], abs=1e-9)
    for k in (1, 5, 10, 20):
        assert found.rank(k) == pytest.approx(expected[f"rank{k}"], abs=1e-12), k


@pytest.mark.parametrize(
    ("file", "is_unit"), [("k_reciprocal_distance.npy", False), ("k_reciprocal_distance_l2_normalised.npy", True)]
)
def test_distances_equal_the_golden_matrix(file: str, is_unit: bool) -> None:
    """Number by number; in float32, what a network gives, within a few roundings more."""
    expected = np.load(METRICS / file)
    query, gallery = (unit(rows) if is_unit else rows for rows in golden_features())
    np.testing.assert_allclose(reranked(query, gallery), expected, atol=STORED, rtol=0)
    single = reranked(query.astype(np.float32), gallery.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=5e-7, rtol=0)


def oracle(
    queries: NDArray[np.float64], gallery: NDArray[np.float64], *, k1: int, k2: int, lambda_: float
) -> NDArray[np.float64]:
    """The paper with sets and full matrices, one pair of images at a time."""
    rows = np.concatenate([queries, gallery])
    total = len(rows)
    original = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    original /= original.max(axis=1, keepdims=True)
    ranking = [sorted(range(total), key=lambda j: (original[i, j], j)) for i in range(total)]

    def reciprocal(i: int, k: int) -> set[int]:
        return {j for j in ranking[i][: k + 1] if i in ranking[j][: k + 1]}

    encodings = np.zeros((total, total))
    for i in range(total):
        own = reciprocal(i, k1)
        joined = set(own)
        for j in own:
            theirs = reciprocal(j, int(np.around(k1 / 2)))
            if len(theirs & own) > 2 / 3 * len(theirs):
                joined |= theirs
        weights = {j: np.exp(-original[i, j]) for j in joined}
        for j, weight in weights.items():
            encodings[i, j] = weight / sum(weights.values())
    encodings = np.array([encodings[ranking[i][:k2]].mean(axis=0) for i in range(total)])
    result = np.empty((len(queries), len(gallery)))
    for q in range(len(queries)):
        for g in range(len(gallery)):
            one, other = encodings[q], encodings[len(queries) + g]
            jaccard = 1 - np.minimum(one, other).sum() / np.maximum(one, other).sum()
            result[q, g] = lambda_ * original[q, len(queries) + g] + (1 - lambda_) * jaccard
    return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6),
    st.integers(2, 20),
    st.integers(1, 9),
    st.integers(1, 12),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_distances_equal_a_literal_restatement(
    seed: int, queries: int, images: int, k1: int, k2: int, lambda_: float
) -> None:
    """Whatever the constants, also with more neighbours asked for than there are images."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((4, 5))
    query, gallery = (
        centres[random.integers(0, 4, count)] + 0.7 * random.standard_normal((count, 5)) for count in (queries, images)
    )
    expected = oracle(query, gallery, k1=k1, k2=k2, lambda_=lambda_)
    np.testing.assert_allclose(reranked(query, gallery, k1=k1, k2=k2, lambda_=lambda_), expected, atol=1e-9)


def test_the_size_of_a_block_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours and results found a few rows at a time are those found at once."""
    query, gallery = golden_features()
    expected = reranked(query, gallery)
    monkeypatch.setattr(distances, "_BLOCK_ELEMENTS", 5000)
    monkeypatch.setattr(distances, "_BLOCK_ROWS", 1)
    assert len(list(rerank_blocks(query, gallery))) == 8
    np.testing.assert_allclose(reranked(query, gallery), expected, atol=1e-12)


def test_twins_do_no_harm() -> None:
    """Images that were given many times, as copies in a gallery may be, have finite distances and stay together."""
    query, gallery = golden_features()
    twins = np.concatenate([np.repeat(query[:1], 40, axis=0), gallery])
    matrix = reranked(query, twins)
    assert np.isfinite(matrix).all()
    assert matrix[0, :40].max() < matrix[0, 40:].min()


def test_what_cannot_be_reranked_is_refused() -> None:
    """Constants out of range, all images alike, broken descriptors, and cosine without unit length."""
    query, gallery = golden_features()
    with pytest.raises(ConfigError, match=r"found k1 0, k2 6, lambda 0\.3"):
        Reranking(k1=0)
    with pytest.raises(ConfigError, match=r"lambda from 0 to 1, found k1 20, k2 6, lambda 1\.5"):
        Reranking(lambda_=1.5)
    with pytest.raises(DataError, match="all descriptors are the same"):
        reranked(np.ones((2, 3)), np.ones((4, 3)))
    with pytest.raises(DataError, match=r"60 of 60 query descriptors .* are not of unit length"):
        reranked(query, gallery, passed="cosine")
    gallery[5, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        rerank_blocks(query, gallery)

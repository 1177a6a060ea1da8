"""Retrieval scores against the golden figures and a slow, literal oracle."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from tests.golden.retrieval import FIGURES, features, label_arguments, unit
from tests.golden.rule import uniform
from train.datasets.samples import DISTRACTOR, JUNK
from train.scoring.metrics import Retrieval, bootstrap, bootstrap_ratio, score_blocks, score_distances


def distances(kind: str) -> NDArray[np.float64]:
    if kind == "random_matrix":
        return uniform("retrieval.random_distance", 60, 600)
    if kind == "tied_matrix":
        return np.floor(8 * uniform("retrieval.tied_distance", 60, 600))
    query, gallery = features("query"), features("gallery")
    if kind != "squared_euclidean":
        query, gallery = unit(query), unit(gallery)
    if kind == "cosine":
        return 1 - query @ gallery.T
    return ((query[:, None] - gallery[None]) ** 2).sum(axis=2)


def golden_score(matrix: NDArray[np.float64], **options: Any) -> Retrieval:
    return score_distances(matrix, **label_arguments(), **options)


def test_the_golden_features_are_those_of_the_references() -> None:
    """Their sums, so that a difference in scores is one of the scoring."""
    for tag in ("query", "gallery", "multiquery"):
        assert features(tag).sum() == pytest.approx(FIGURES["feature_checks"][tag][0], abs=1e-9)


@pytest.mark.parametrize(
    "kind", ["random_matrix", "tied_matrix", "squared_euclidean", "squared_euclidean_of_l2_normalised", "cosine"]
)
def test_scores_equal_the_golden_figures(kind: str) -> None:
    """CMC, mAP by both rules and mINP; ties rank in gallery order; queries without a right image are left out."""
    expected = FIGURES[kind]["independent"]
    found = golden_score(distances(kind))
    trapezoid = golden_score(distances(kind), precision_rule="trapezoid")
    assert (len(found.average_precision), found.queries) == (expected["valid_queries"], expected["queries"])
    assert found.mean_ap == pytest.approx(expected["mAP"], abs=1e-12)
    assert trapezoid.mean_ap == pytest.approx(expected["mAP_trapezoid_valid_only"], abs=1e-12)
    over_all = trapezoid.average_precision.sum() / trapezoid.queries
    assert over_all == pytest.approx(expected["mAP_trapezoid_over_all_queries"], abs=1e-12)
    assert found.mean_inp == pytest.approx(expected["mINP"], abs=1e-12)
    for k in (1, 5, 10, 20):
        assert found.rank(k) == pytest.approx(expected[f"rank{k}"], abs=1e-12), k


def test_every_query_scores_as_in_the_golden_list() -> None:
    """One by one, in order; a query without a right image is not there."""
    expected = [query for query in FIGURES["squared_euclidean"]["per_query"] if query and query.get("relevant")]
    matrix = distances("squared_euclidean")
    found, trapezoid = golden_score(matrix), golden_score(matrix, precision_rule="trapezoid")
    assert list(found.average_precision) == pytest.approx([query["ap"] for query in expected], abs=1e-12)
    assert list(trapezoid.average_precision) == pytest.approx([query["ap_trapezoid"] for query in expected], abs=1e-12)
    assert list(found.inverse_negative_penalty) == pytest.approx([query["inp"] for query in expected], abs=1e-12)
    assert list(found.first_match + 1) == [query["first_hit_rank"] for query in expected]


def oracle(row: list[float], right: list[bool], left_out: list[bool]) -> tuple[float, float, int] | None:
    """Sort, walk down the list, count."""
    order = sorted((d, position) for position, d in enumerate(row) if not left_out[position])
    found, precisions, first, last = 0, [], None, 0
    for rank, (_, position) in enumerate(order):
        if right[position]:
            found += 1
            precisions.append(found / (rank + 1))
            first, last = (rank if first is None else first), rank
    return None if first is None else (sum(precisions) / found, found / (last + 1), first)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 30))
def test_scores_equal_a_literal_walk_down_the_ranking(seed: int, queries: int, images: int) -> None:
    """Whatever the labels, with many ties, junk and distractors, in one block or in several."""
    random = np.random.default_rng(seed)
    query_ids, gallery_ids = random.integers(0, 4, queries), random.integers(-1, 4, images)
    query_cameras, gallery_cameras = random.integers(0, 2, queries), random.integers(0, 2, images)
    matrix = random.integers(0, 4, (queries, images)).astype(float)
    expected = []
    for q in range(queries):
        same = [gallery_ids[g] == query_ids[q] for g in range(images)]
        left_out = [
            gallery_ids[g] == JUNK or (same[g] and gallery_cameras[g] == query_cameras[q]) for g in range(images)
        ]
        right = [same[g] and gallery_ids[g] != DISTRACTOR for g in range(images)]
        expected.append(oracle(list(matrix[q]), right, left_out))
    expected = [scores for scores in expected if scores is not None]
    arguments = {
        "query_identities": query_ids,
        "gallery_identities": gallery_ids,
        "query_cameras": query_cameras,
        "gallery_cameras": gallery_cameras,
    }
    if not expected:
        with pytest.raises(DataError, match="no query has a right image"):
            score_distances(matrix, **arguments)
        return
    for found in (score_distances(matrix, **arguments), score_blocks([matrix[:2], matrix[2:]], **arguments)):
        assert list(found.first_match) == [scores[2] for scores in expected]
        assert list(found.average_precision) == pytest.approx([scores[0] for scores in expected])
        assert list(found.inverse_negative_penalty) == pytest.approx([scores[1] for scores in expected])


def test_the_order_of_the_gallery_is_irrelevant_without_ties() -> None:
    """Images and their labels move together."""
    matrix, arguments = distances("cosine"), label_arguments()
    order = np.random.default_rng(0).permutation(600)
    for name in ("gallery_identities", "gallery_cameras"):
        arguments[name] = arguments[name][order]
    assert score_distances(matrix[:, order], **arguments).mean_ap == golden_score(matrix).mean_ap


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_bad_distances_are_refused(value: float) -> None:
    """A transposed matrix, too few or too many rows, and one with a broken descriptor each get a sentence."""
    matrix = distances("cosine")
    with pytest.raises(DataError, match=r"expected a distance matrix of \(60, 600\)"):
        golden_score(matrix.T)
    with pytest.raises(DataError, match=r"expected distances of 60 queries, found 59"):
        golden_score(matrix[:-1])
    with pytest.raises(DataError, match=r"found \(60, 600\) after 60 queries"):
        score_blocks([matrix, matrix], **label_arguments())
    matrix[3, 7] = value
    with pytest.raises(DataError, match="not finite numbers"):
        golden_score(matrix)


def test_bad_labels_are_refused() -> None:
    """No gallery, and cameras that are fewer than identities."""
    arguments = label_arguments()
    with pytest.raises(DataError, match="found 60 queries and 0 gallery images"):
        score_distances(
            np.empty((60, 0)),
            **{
                **arguments,
                "gallery_identities": arguments["gallery_identities"][:0],
                "gallery_cameras": arguments["gallery_cameras"][:0],
            },
        )
    with pytest.raises(DataError, match=r"as many cameras as identities .* = \(60, 600\), found \(60, 599\)"):
        score_distances(distances("cosine"), **{**arguments, "gallery_cameras": arguments["gallery_cameras"][:-1]})


def test_bootstrap_interval_holds_the_mean_and_shrinks_with_more_queries() -> None:
    """Deterministic, ordered, and about 1.96 standard errors to each side."""
    scores = uniform("bootstrap", 400)
    few, many = bootstrap(scores[:100]), bootstrap(scores)
    assert bootstrap(scores) == many
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low
    assert many.high - many.low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.15)


def test_the_bootstrap_of_a_ratio_weighs_queries_by_what_they_have() -> None:
    """Parts over wholes of all queries together; with equal wholes it is the bootstrap of the mean."""
    parts, wholes = np.array([1, 0, 4, 2]), np.array([2, 0, 4, 4])
    assert bootstrap_ratio(parts, wholes).value == 7 / 10
    even, mean = bootstrap_ratio(parts, np.full(4, 4)), bootstrap(parts / 4)
    assert (even.low, even.high) == pytest.approx((mean.low, mean.high))

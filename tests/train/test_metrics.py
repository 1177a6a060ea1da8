"""Retrieval scores against the golden figures and a slow, literal oracle."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_runtime.contract.errors import DataError
from tests.conftest import ROOT
from tests.golden.rule import symmetric, uniform
from train.data.samples import JUNK
from train.metrics import Retrieval, bootstrap, retrieval

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/metrics/retrieval.json").read_text())
SIZES = {"query": (60, 1), "gallery": (600, -1)}


def labels(tag: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Identities and cameras of a golden split."""
    count, lowest = SIZES[tag]
    identities = np.floor(uniform(f"retrieval.{tag}.pid", count) * (26 - lowest)).astype(np.int64) + lowest
    cameras = np.floor(uniform(f"retrieval.{tag}.cam", count) * 6).astype(np.int64)
    if tag == "gallery":
        identities[(identities == 25) & (cameras != 0)] = 0
    else:
        cameras[identities == 25] = 0
    return identities, cameras


def features(tag: str) -> NDArray[np.float64]:
    identities, cameras = labels(tag)
    count = len(identities)
    centres, junk = symmetric("retrieval.identity", 26, 64), symmetric(f"retrieval.{tag}.junk", count, 64)
    base = np.where((identities > 0)[:, None], centres[np.maximum(identities, 0)], junk)
    camera = 0.55 * symmetric("retrieval.camera", 6, 64)
    return base + camera[cameras] + 1.8 * symmetric(f"retrieval.{tag}.noise", count, 64)


def distances(kind: str) -> NDArray[np.float64]:
    if kind == "random_matrix":
        return uniform("retrieval.random_distance", 60, 600)
    if kind == "tied_matrix":
        return np.floor(8 * uniform("retrieval.tied_distance", 60, 600))
    query, gallery = features("query"), features("gallery")
    if kind == "squared_euclidean":
        return ((query[:, None] - gallery[None]) ** 2).sum(axis=2)
    query, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    return 1 - query @ gallery.T


def golden_score(matrix: NDArray[np.float64], **options: Any) -> Retrieval:
    query, query_cameras = labels("query")
    gallery, gallery_cameras = labels("gallery")
    return retrieval(
        matrix,
        query_identities=query,
        gallery_identities=gallery,
        query_cameras=query_cameras,
        gallery_cameras=gallery_cameras,
        **options,
    )


@pytest.mark.parametrize("kind", ["random_matrix", "tied_matrix", "squared_euclidean", "cosine"])
def test_scores_equal_the_golden_figures(kind: str) -> None:
    """CMC, mAP by both rules and mINP; ties rank in gallery order; queries without a right image are left out."""
    expected = GOLDEN[kind]["independent"]
    found = golden_score(distances(kind))
    trapezoid = golden_score(distances(kind), precision_rule="trapezoid")
    assert (len(found.average_precision), found.queries) == (expected["valid_queries"], expected["queries"])
    assert found.mean_ap == pytest.approx(expected["mAP"], abs=1e-12)
    assert trapezoid.mean_ap == pytest.approx(expected["mAP_trapezoid_valid_only"], abs=1e-12)
    assert found.mean_inp == pytest.approx(expected["mINP"], abs=1e-12)
    for k in (1, 5, 10, 20):
        assert found.rank(k) == pytest.approx(expected[f"rank{k}"], abs=1e-12), k


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
    """Whatever the labels, with many ties, junk and distractors."""
    random = np.random.default_rng(seed)
    query_ids, gallery_ids = random.integers(1, 4, queries), random.integers(-1, 4, images)
    query_cameras, gallery_cameras = random.integers(0, 2, queries), random.integers(0, 2, images)
    matrix = random.integers(0, 4, (queries, images)).astype(float)
    expected = []
    for q in range(queries):
        right = [gallery_ids[g] == query_ids[q] for g in range(images)]
        left_out = [
            gallery_ids[g] == JUNK or (right[g] and gallery_cameras[g] == query_cameras[q]) for g in range(images)
        ]
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
            retrieval(matrix, **arguments)
        return
    found = retrieval(matrix, **arguments)
    assert list(found.first_match) == [scores[2] for scores in expected]
    assert list(found.average_precision) == pytest.approx([scores[0] for scores in expected])
    assert list(found.inverse_negative_penalty) == pytest.approx([scores[1] for scores in expected])


def test_bad_distances_are_refused() -> None:
    """A transposed matrix and one with a broken descriptor each get a sentence."""
    with pytest.raises(DataError, match=r"expected a distance matrix of \(60, 600\)"):
        golden_score(distances("cosine").T)
    broken = distances("cosine")
    broken[3, 7] = np.nan
    with pytest.raises(DataError, match="not finite numbers"):
        golden_score(broken)


def test_bootstrap_interval_holds_the_mean_and_shrinks_with_more_queries() -> None:
    """Deterministic, ordered, and about 1.96 standard errors to each side."""
    scores = uniform("bootstrap", 400)
    few, many = bootstrap(scores[:100]), bootstrap(scores)
    assert bootstrap(scores) == many
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low
    assert many.high - many.low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.15)

"""From descriptors to scores: what each way of evaluating does to them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Descriptor, Input, Part
from tests.golden.retrieval import FIGURES, features, labels, unit
from tests.support.market_folder import write_market_folder
from tests.support.small_images import write_image
from train.datasets.catalog import ReidData, load_images, open_folder
from train.datasets.samples import JUNK
from train.recipes.recipe import Evaluation
from train.scoring.scoring import PLAIN, Described, Member, pool_queries, protocol, retrieve_on, score, score_on

INPUT = Input(height_px=16, width_px=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReidData:
    """Colour patterns: 12 queries, 24 gallery images; the training images serve as multiple queries."""
    found = open_folder(write_market_folder(tmp_path_factory.mktemp("data") / "patterns"))
    return replace(found, multi_query=found.gallery)


def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A poor network, so that scores differ: mean colours of the left and the right half, scrambled."""
    left, right = (half.mean(axis=(1, 2)) for half in (images[:, :, :4], images[:, :, 4:]))
    return np.concatenate([4 * np.cos(left), np.cos(right)], axis=1).astype(np.float32)


def texture(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Another one: deviations of the upper and the lower half."""
    deviations = [half.std(axis=(1, 2)) for half in (images[:, :8], images[:, 8:])]
    return np.concatenate([2 + np.cos(deviation) for deviation in deviations], axis=1).astype(np.float32)


def golden(tag: str) -> Described:
    return Described(np.float32(unit(features(tag))), *labels(tag))


def by_hand(data: ReidData, descriptor_of: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> float:
    """mAP of descriptors made in one go and scaled to unit length."""
    splits = []
    for samples in (data.query, data.gallery):
        images = load_images(samples, height_px=16, width_px=8)
        identities = np.array([sample.identity for sample in samples])
        cameras = np.array([sample.camera_id for sample in samples])
        splits.append(Described(np.float32(unit(descriptor_of(images))), identities, cameras))
    return score(*splits).mean_ap


@pytest.mark.parametrize("queries", ["average", "maximum"])
def test_multiple_queries_equal_the_golden_figures(queries: Literal["average", "maximum"]) -> None:
    """Average or maximum over the query's identity and camera; a query without such images keeps its own."""
    expected = FIGURES[f"multi_query_{queries}"]["independent"]
    evaluation = Evaluation(queries=queries)
    query = pool_queries(golden("query"), golden("multiquery"), evaluation=evaluation)
    found = score(query, golden("gallery"), evaluation=evaluation)
    assert found.mean_ap == pytest.approx(expected["mAP"], abs=1e-6)
    assert found.mean_inp == pytest.approx(expected["mINP"], abs=1e-6)
    for k in (1, 5, 10, 20):
        assert found.rank(k) == pytest.approx(expected[f"rank{k}"], abs=1e-12), k
    kept = [
        not ((labels("multiquery")[0] == i) & (labels("multiquery")[1] == c)).any()
        for i, c in zip(*labels("query"), strict=True)
    ]
    assert len(kept) - sum(kept) == FIGURES[f"multi_query_{queries}"]["queries_with_extra_images"]
    np.testing.assert_allclose(query.descriptors[kept], golden("query").descriptors[kept], atol=1e-6)


@pytest.mark.parametrize(
    ("evaluation", "title", "rule"),
    [
        (PLAIN, "cosine", "mAP"),
        (Evaluation(precision_rule="trapezoid"), "cosine", "mAP_trapezoid_valid_only"),
        (Evaluation(distance="euclidean"), "squared_euclidean", "mAP"),
        (Evaluation(rerank=True), "l2_normalised_features_independent_float64", "mAP"),
        (Evaluation(rerank=True, distance="euclidean"), "independent_float64", "mAP"),
    ],
)
def test_each_way_to_rank_equals_its_golden_figure(evaluation: Evaluation, title: str, rule: str) -> None:
    """Distance, precision rule and re-ranking; junk is taken out before."""
    query, gallery = golden("query"), golden("gallery")
    if evaluation.distance == "euclidean":
        query = replace(query, descriptors=np.float32(features("query")))
        gallery = replace(gallery, descriptors=np.float32(features("gallery")))
    figures = FIGURES["k_reciprocal" if evaluation.rerank else title]
    expected = (figures[title] if evaluation.rerank else figures)["independent"]
    assert score(query, gallery, evaluation=evaluation).mean_ap == pytest.approx(expected[rule], abs=1e-6)


def test_a_flip_adds_the_mirrors_descriptor_before_its_length_is_taken(data: ReidData) -> None:
    """The sum of what the network gives, then unit length: not the sum of two unit lengths."""
    found = retrieve_on([Member(describe, INPUT)], data, evaluation=Evaluation(flip=True))
    expected = by_hand(data, lambda images: describe(images) + describe(images[:, :, ::-1]))
    assert found.mean_ap == pytest.approx(expected, abs=1e-9)
    assert found.mean_ap != pytest.approx(by_hand(data, describe), abs=1e-6)
    of_unit_lengths = by_hand(data, lambda images: unit(describe(images)) + unit(describe(images[:, :, ::-1])))
    assert found.mean_ap != pytest.approx(of_unit_lengths, abs=1e-6)


def test_networks_describe_side_by_side_with_equal_weight(data: ReidData) -> None:
    """Each of unit length first, whatever its scale, at its own input size."""
    members = [Member(describe, INPUT), Member(lambda images: 1000 * texture(images), INPUT)]
    found = retrieve_on(members, data, evaluation=PLAIN)
    expected = by_hand(data, lambda images: np.hstack([unit(describe(images)), unit(texture(images))]))
    assert found.mean_ap == pytest.approx(expected, abs=1e-9)
    assert found.mean_ap != pytest.approx(by_hand(data, describe), abs=1e-6)


def test_only_the_parts_asked_for_are_compared(data: ReidData) -> None:
    """By their names in the manifest; an unknown one is named beside those there are."""
    parts = (Part(name="left", length=3), Part(name="right", length=3))
    member = Member(describe, INPUT, Descriptor(length=6, parts=parts))
    found = retrieve_on([member], data, evaluation=Evaluation(parts=("right",)))
    assert found.mean_ap == pytest.approx(by_hand(data, lambda images: describe(images)[:, 3:]), abs=1e-9)
    with pytest.raises(ConfigError, match="the descriptor has no part middle; its parts: left, right"):
        retrieve_on([member], data, evaluation=Evaluation(parts=("left", "middle")))


def test_multiple_queries_need_images_for_them(data: ReidData) -> None:
    """Before anything is described; with them every query of an identity at a camera is described alike."""
    without = replace(data, multi_query=())
    with pytest.raises(DataError, match="patterns has no images for multiple queries; score it with single queries"):
        retrieve_on([Member(describe, INPUT)], without, evaluation=Evaluation(queries="average"))
    found = retrieve_on([Member(describe, INPUT)], data, evaluation=Evaluation(queries="maximum"))
    assert found.queries == len(data.query)


def test_images_are_resized_by_the_rule_of_the_network(data: ReidData) -> None:
    """What the manifest's input says, not what is usual."""
    seen: list[NDArray[np.uint8]] = []

    def watch(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(images)
        return describe(images)

    bicubic = Input(height_px=16, width_px=8, resize="bicubic-half-pixel")
    retrieve_on([Member(watch, bicubic)], data, evaluation=PLAIN)
    expected = load_images(data.query, height_px=16, width_px=8, rule="bicubic-half-pixel")
    np.testing.assert_array_equal(seen[0], expected)


@pytest.mark.parametrize("rerank", [False, True])
@pytest.mark.parametrize(
    ("value", "fault"), [(0.0, "12 of 12 query descriptors .* are all zeros"), (np.nan, "12 of 12 .* are not finite")]
)
def test_a_blind_or_broken_network_is_said_to_be_so(data: ReidData, value: float, fault: str, rerank: bool) -> None:
    """No score is made up for it."""

    def blind(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(images), 4), value, np.float32)

    with pytest.raises(DataError, match=fault):
        score_on(blind, data, input_=INPUT, evaluation=Evaluation(rerank=rerank))


def test_a_folder_without_cameras_is_scored_by_a_protocol_that_says_so(tmp_path: Path) -> None:
    """No image was left out, which makes scores better than between two cameras."""
    for person in range(6):
        for number in range(3):
            write_image(tmp_path / f"{person}" / f"{number}.jpg")
    found = score_on(describe, open_folder(tmp_path), input_=INPUT)
    assert found.protocol == "cosine distance, single query, no camera known and none left out"


def test_the_evidence_names_exactly_what_was_done(data: ReidData) -> None:
    """One line, and the number of images that could take a place."""
    junk = replace(data.gallery[0], identity=JUNK)
    found = score_on(describe, replace(data, gallery=(*data.gallery, junk)), input_=INPUT, evaluation=PLAIN)
    assert found.protocol == "cosine distance, single query, same camera left out"
    assert (found.queries, found.gallery) == (12, 24)
    everything = Evaluation("euclidean", True, "average", True, "trapezoid", parts=("global", "part1"))
    assert protocol(everything, networks=2) == (
        "euclidean distance, average of multiple queries, same camera left out, flipped images added, "
        "parts global + part1, k-reciprocal re-ranking (k1 20, k2 6, lambda 0.3), trapezoid average precision, "
        "2 networks side by side"
    )

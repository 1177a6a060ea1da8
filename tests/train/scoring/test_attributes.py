"""Attribute scores against the golden figures and against nested loops."""

import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ROOT
from tests.golden.rule import symmetric, uniform
from train.scoring.attributes import accuracy_per_attribute, score_attributes

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/losses.json").read_text())["attribute"]


def golden_attributes() -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Predicted and actual, (12, 6)."""
    actual = uniform("attr.labels", 12, 6) < (0.5, 0.1, 0.3, 0.7, 0.2, 0.9)
    actual[0] = (1, 0, 0, 0, 0, 0)
    return symmetric("attr.logits", 12, 6) > 0, actual


def test_scores_equal_the_golden_figures() -> None:
    """Threshold 0.5, which is logit 0."""
    expected = GOLDEN["metrics"]
    scores = score_attributes(*golden_attributes())
    assert accuracy_per_attribute(*golden_attributes()) == pytest.approx(expected["mA_per_attribute"], rel=1e-12)
    assert scores.mean_accuracy == pytest.approx(expected["mA"], rel=1e-12)
    assert scores.accuracy == pytest.approx(expected["accuracy"], rel=1e-12)
    assert scores.precision == pytest.approx(expected["precision"], rel=1e-12)
    assert scores.recall == pytest.approx(expected["recall"], rel=1e-12)
    assert scores.f1 == pytest.approx(expected["f1_of_means"], rel=1e-12)


def test_image_scores_equal_nested_loops() -> None:
    """Counted attribute by attribute; a share of nothing counts 0."""
    predicted, actual = (uniform(key, 30, 4) < 0.2 for key in ("attributes.predicted", "attributes.actual"))
    sums = np.zeros(3)
    for n in range(30):
        both = predicted_count = actual_count = 0
        for a in range(4):
            both += predicted[n, a] and actual[n, a]
            predicted_count += predicted[n, a]
            actual_count += actual[n, a]
        wholes = (predicted_count + actual_count - both, predicted_count, actual_count)
        sums += [both / whole if whole else 0 for whole in wholes]
    scores = score_attributes(predicted, actual)
    assert (scores.accuracy, scores.precision, scores.recall) == pytest.approx(tuple(sums / 30))


def test_nothing_predicted_scores_zero_without_a_warning() -> None:
    """As an untrained network may do; recognised negatives still give half of mA."""
    actual = np.array([[True, False], [False, True]])
    scores = score_attributes(np.zeros_like(actual), actual)
    assert (scores.mean_accuracy, scores.accuracy, scores.precision, scores.recall, scores.f1) == (0.5, 0, 0, 0, 0)


def test_an_attribute_that_all_images_have_counts_with_its_positives() -> None:
    """There are no negatives to recognise."""
    actual = np.array([[True], [True]])
    assert accuracy_per_attribute(np.array([[True], [False]]), actual).tolist() == [0.5]

"""Steps are compared so that a fault of any part of them is seen."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch

from benchmarks.equality import BAR, lockstep_recipe
from benchmarks.measuring.lockstep import Steps, compare_steps, take_our_steps
from train.models.catalog import build


@pytest.fixture(scope="module")
def steps() -> tuple[Steps, int]:
    """Our ten steps of the smallest network, and how many of them train the classifier alone."""
    recipe = lockstep_recipe("osnet_x0_25")
    torch.manual_seed(0)
    taken, batches = take_our_steps(build("osnet_x0_25", classes=8).double(), recipe, classes=8)
    assert len(batches) == len(taken.losses) == len(taken.gradients) == recipe.schedule.epochs
    assert all(images.dtype == torch.float64 for images, _ in batches)
    return taken, recipe.schedule.classifier_only_epochs


def test_the_same_steps_are_equal(steps: tuple[Steps, int]) -> None:
    """And frozen ones train the classifier alone."""
    taken, frozen = steps
    found = compare_steps(taken, deepcopy(taken), frozen=frozen)
    assert (found.first_loss, found.first_gradient, found.loss, found.weight) == (0, 0, 0, 0)
    assert set(taken.gradients[frozen - 1]) == {"classifier.weight", "classifier.bias"}
    assert len(taken.gradients[frozen]) > len(taken.gradients[frozen - 1])


def double_loss(taken: Steps) -> None:
    taken.losses[-1] *= 1 + 1e-8


def change_gradient(taken: Steps) -> None:
    taken.gradients[2]["conv1.conv.weight"][0] *= 1 + 1e-8


def change_weight(taken: Steps) -> None:
    taken.weights["conv5.bn.running_var"] += 1e-8


@pytest.mark.parametrize(
    ("fault", "figure"), [(double_loss, "loss"), (change_gradient, "first_gradient"), (change_weight, "weight")]
)
def test_a_small_fault_is_above_the_bar(steps: tuple[Steps, int], fault: Callable[[Steps], None], figure: str) -> None:
    """A hundred-millionth, a hundred times the bar."""
    taken, frozen = steps
    other = deepcopy(taken)
    fault(other)
    assert getattr(compare_steps(taken, other, frozen=frozen), figure) > 10 * BAR

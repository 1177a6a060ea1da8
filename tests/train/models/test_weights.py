"""Loading weights by name."""

from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime.contract.errors import CheckpointError
from train.models.weights import load_all_but_classifiers, load_weights

SOURCE = Path("weights.pth")


class _Network(nn.Module):
    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.classifier = nn.Linear(3, classes)
        self.classifier_local = nn.Linear(3, classes)


def test_all_faults_are_listed_at_once() -> None:
    """What misses, what is unknown and what has another shape, with the file's name; and nothing is loaded."""
    network, state = _Network(classes=4), _Network(classes=5).state_dict()
    state["fc.scale"] = state.pop("fc.bias")
    before = network.fc.weight.clone()
    with pytest.raises(CheckpointError, match=r"weights\.pth belongs to another network") as caught:
        load_weights(network, state, source=SOURCE)
    assert "missing: fc.bias; unknown: fc.scale;" in str(caught.value)
    assert "classifier.weight is (5, 3) instead of (4, 3)" in str(caught.value)
    assert torch.equal(network.fc.weight, before)


def test_every_classifier_keeps_its_own_weights() -> None:
    """Whatever classifiers the state has, and whether it has any."""
    network, other = _Network(classes=4), _Network(classes=5)
    own = network.classifier_local.weight.clone()
    load_all_but_classifiers(network, {**other.state_dict(), "classifier_third.bias": torch.zeros(5)}, source=SOURCE)
    assert torch.equal(network.fc.weight, other.fc.weight)
    assert torch.equal(network.classifier_local.weight, own)
    load_all_but_classifiers(network, {f"fc.{k}": v for k, v in other.fc.state_dict().items()}, source=SOURCE)


def test_a_missing_backbone_is_refused() -> None:
    """Only classifiers may be absent."""
    with pytest.raises(CheckpointError, match=r"missing: fc\.weight"):
        load_all_but_classifiers(_Network(classes=4), {"fc.bias": torch.zeros(3)}, source=SOURCE)

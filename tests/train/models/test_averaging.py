"""One network from two."""

import pytest
import torch
from torch import nn

from train.models.averaging import average, renew_statistics


def test_weights_lie_between_the_two_and_classifiers_are_left_out() -> None:
    """A share of the second network's; counters are the first one's."""
    first = {"conv.weight": torch.tensor([0.0, 4.0]), "seen": torch.tensor(3), "classifier.weight": torch.ones(2)}
    second = {"conv.weight": torch.tensor([8.0, 0.0]), "seen": torch.tensor(9), "classifier.weight": torch.ones(5)}
    mean = average(first, second, share=0.25)
    assert mean.keys() == {"conv.weight", "seen"}
    assert mean["conv.weight"].tolist() == [2.0, 3.0]
    assert mean["seen"] == 3


def test_batch_norms_take_mean_and_variance_of_all_images() -> None:
    """Of all batches alike, whatever they held before, and nothing but statistics changes."""
    norm = nn.BatchNorm2d(1, momentum=0.1)
    nn.init.constant_(norm.weight, 3)
    norm.running_mean = torch.full((1,), 77.0)
    network = nn.Sequential(nn.Dropout(0.5), norm)
    batches = [torch.full((4, 1, 2, 2), value) + torch.tensor([-1.0, 1.0]) for value in (2.0, 6.0)]
    renew_statistics(network, batches)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.item() == pytest.approx(4)
    assert norm.running_var.item() == pytest.approx(16 / 15)  # of one batch, unbiased
    assert (norm.momentum, norm.training, norm.weight.item()) == (0.1, False, 3)

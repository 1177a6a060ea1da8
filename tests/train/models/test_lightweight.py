"""ShuffleNet and MobileNetV2 against the figures of their papers."""

import pytest
import torch

from train.models.catalog import build
from train.models.complexity import measure_complexity
from train.models.lightweight import _shuffle


@pytest.mark.parametrize(("name", "mult_adds", "parameters"), [("shufflenet", 137, None), ("mobilenetv2", 300, 3.5)])
def test_cost_is_that_of_the_paper(name: str, mult_adds: int, parameters: float | None) -> None:
    """Millions, with 1,000 classes at 224x224, of which the classifier's mult-adds are counted too."""
    network = build(name, classes=1000)
    found = measure_complexity(network, height_px=224, width_px=224)
    assert (found.mult_adds + network.classifier.weight.numel()) / 1e6 == pytest.approx(mult_adds, abs=1)
    if parameters:
        assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == parameters


def test_a_shuffle_takes_channels_in_turn_from_each_group() -> None:
    """Of three groups of two channels: the first of each, then the second of each."""
    assert _shuffle(torch.arange(6.0).view(1, 6, 1, 1)).flatten().tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize(("name", "length"), [("shufflenet", 960), ("mobilenetv2", 1280)])
def test_the_descriptor_is_the_mean_of_the_last_map(name: str, length: int) -> None:
    """Class scores are made of it alone."""
    network = build(name, classes=5)
    logits, embeddings = network(torch.rand(2, 3, 64, 32))
    assert embeddings[0].shape == (2, length)
    torch.testing.assert_close(logits[0], network.classifier(embeddings[0]))
    images = torch.rand(2, 3, 64, 32)
    torch.testing.assert_close(network.eval()(images), network.features(images).mean((2, 3)))

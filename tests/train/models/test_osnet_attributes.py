"""OSNet for person attributes."""

import torch

from train.models.catalog import build


def test_the_highest_activation_of_a_map_decides() -> None:
    """Max pooling: the descriptor is that of maps that hold only their largest value."""
    torch.manual_seed(0)
    network = build("osnet_attributes_x0_25", classes=26).eval()
    maps = torch.rand(2, 128, 4, 2)
    descriptors = network._describe(maps)
    largest = torch.tensor([[channel.flatten().tolist() for channel in image] for image in maps]).max(dim=2).values
    torch.testing.assert_close(descriptors, network.fc(largest))
    assert network.classifier(descriptors).shape == (2, 26)


def test_its_weights_are_named_as_those_of_osnet() -> None:
    """So that re-identification or ImageNet weights can start it."""
    names = [list(build(name, classes=26).state_dict()) for name in ("osnet_attributes_x0_25", "osnet_x0_25")]
    assert names[0] == names[1]

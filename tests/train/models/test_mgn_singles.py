"""Three single networks in one: none of them hears of the others."""

from pathlib import Path

import pytest
import torch

from tests.support.public_weights import public_state
from train.models.catalog import build
from train.models.mgn import MGN
from train.models.mgn_singles import MGNSingles


@pytest.mark.parametrize(("number", "stripes"), [(0, 1), (1, 2), (2, 3)])
def test_each_branch_is_the_single_network_of_its_name(number: int, stripes: int) -> None:
    """With the same weights its parts of the descriptor are that network's descriptor."""
    together, alone = MGNSingles(classes=2).eval(), MGN(classes=2, stripes=(stripes,)).eval()
    names = [name for name, _ in together.descriptor_parts]
    own = [names.index(name) for name, _ in alone.descriptor_parts]
    alone.shared.load_state_dict(together.starts[number].state_dict())
    alone.branches[0] = together.branches[number]
    for place, part in enumerate(own):
        alone.reductions[place] = together.reductions[part]
    with torch.inference_mode():
        images = torch.randn(2, 3, 64, 32)
        assert torch.equal(together(images).view(2, 8, 256)[:, own].flatten(1), alone(images))


def test_a_loss_of_one_network_reaches_no_other() -> None:
    """The global network's classifier trains the first start alone."""
    network = build("mgn_singles", classes=3).train()
    assert isinstance(network, MGNSingles)
    network(torch.randn(2, 3, 64, 32)).logits[0].sum().backward()
    assert [next(start.parameters()).grad is not None for start in network.starts] == [True, False, False]


def test_imagenet_weights_fill_all_three() -> None:
    """Reductions and classifiers keep their random weights."""
    network, state = MGNSingles(classes=2), public_state("resnet50_torchvision")
    network.load_pretrained(state, source=Path("resnet50.pth"))
    for start in network.starts:
        assert torch.equal(next(start.parameters()), state["conv1.weight"])

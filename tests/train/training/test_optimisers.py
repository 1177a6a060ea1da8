"""The update rule is the recipe's."""

import pytest
import torch

from train.models.catalog import build
from train.recipe import Optimiser
from train.training.optimisers import build_optimiser, set_rate


def test_new_layers_learn_at_their_own_rate() -> None:
    """The classifier ten times faster than what pretrained weights fill, all through the schedule."""
    network = build("osnet_x0_25", classes=4)
    optimiser = build_optimiser([network], Optimiser("sgd", 0.01, new_layers_learning_rate=0.1, nesterov=True))
    set_rate(optimiser, 0.002)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert len(rates) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.02 if name.startswith("classifier") else 0.002), name
    assert all(group["nesterov"] and group["weight_decay"] == 5e-4 for group in optimiser.param_groups)


@pytest.mark.parametrize(("name", "amsgrad"), [("adam", False), ("amsgrad", True)])
def test_adam_keeps_the_largest_second_moment_only_as_amsgrad(name: str, amsgrad: bool) -> None:
    """One rate for all layers unless the recipe says otherwise."""
    optimiser = build_optimiser([torch.nn.Linear(2, 2)], Optimiser(name, 0.001))  # type: ignore[arg-type]
    set_rate(optimiser, 0.0005)
    (group,) = optimiser.param_groups
    assert (group["amsgrad"], group["lr"]) == (amsgrad, 0.0005)

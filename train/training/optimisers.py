"""From a recipe's update rule to PyTorch's optimisers."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from train.recipe import Losses, Optimiser

Group = dict[str, Any]


def build_optimiser(networks: Sequence[nn.Module], settings: Optimiser) -> torch.optim.Optimizer:
    """One optimiser for all networks; `set_rate` moves it."""
    groups = [group for network in networks for group in _groups(network, settings)]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups,
            settings.learning_rate,
            momentum=settings.momentum,
            nesterov=settings.nesterov,
            weight_decay=settings.weight_decay,
            fused=True,
        )
    return torch.optim.Adam(
        groups,
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        amsgrad=settings.name == "amsgrad",
        fused=True,
    )


def build_centre_optimiser(objective: nn.Module, losses: Losses) -> torch.optim.Optimizer | None:
    """The optimiser of learned class centres, plain SGD at their own rate; None where there are none."""
    centres = list(objective.parameters())
    return torch.optim.SGD(centres, losses.centre_learning_rate) if centres else None


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every layer its share of the learning rate `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def _groups(network: nn.Module, settings: Optimiser) -> list[Group]:
    """share: a group's learning rate over that of the recipe."""
    if settings.new_layers_learning_rate is None:
        return [{"params": list(network.parameters()), "share": 1.0}]
    backbone = cast(tuple[str, ...], network.backbone_modules)
    old = [value for name, value in network.named_parameters() if name.partition(".")[0] in backbone]
    new = [value for name, value in network.named_parameters() if name.partition(".")[0] not in backbone]
    share = settings.new_layers_learning_rate / settings.learning_rate
    return [{"params": old, "share": 1.0}, {"params": new, "share": share}]

"""A recipe's update rule and learning rates, as PyTorch's optimisers."""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn

from train.recipes.recipe import Losses, Optimiser, Recipe, Schedule

ParameterGroup = dict[str, Any]


def build_optimiser(networks: Sequence[nn.Module], settings: Optimiser) -> torch.optim.Optimizer:
    """One optimiser for all networks; `set_rate` changes its learning rate."""
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
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    return torch.optim.Adam(
        groups,
        settings.learning_rate,
        weight_decay=settings.weight_decay,
        amsgrad=settings.name == "amsgrad",
        fused=True,
    )


def build_centre_optimiser(objective: nn.Module, losses: Losses) -> torch.optim.Optimizer | None:
    """The optimiser of learned class centres, plain SGD at their own rate; None if there are none."""
    centres = list(objective.parameters())
    return torch.optim.SGD(centres, losses.centre_learning_rate) if centres else None


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate of every layer to its multiple of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["share"]


def _groups(network: nn.Module, settings: Optimiser) -> list[ParameterGroup]:
    """Parameters by learning rate. share: a group's learning rate divided by the recipe's."""
    if settings.new_layers_learning_rate is None:
        return [{"params": list(network.parameters()), "share": 1.0}]
    backbone = cast(tuple[str, ...], network.backbone_modules)
    old = [value for name, value in network.named_parameters() if name.partition(".")[0] in backbone]
    new = [value for name, value in network.named_parameters() if name.partition(".")[0] not in backbone]
    share = settings.new_layers_learning_rate / settings.learning_rate
    return [{"params": old, "share": 1.0}, {"params": new, "share": share}]


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Learning rate of epoch `epoch`, counted from 0."""
    return recipe.optimiser.learning_rate * _share(recipe.schedule, epoch)


def _share(schedule: Schedule, epoch: int) -> float:
    """Factor on the highest learning rate during epoch `epoch`, counted from 0."""
    if epoch < schedule.warm_up_epochs:
        return _warm_up(schedule, epoch)
    if schedule.shape == "cosine":
        return (1 + math.cos(math.pi * epoch / schedule.epochs)) / 2
    return float(schedule.factor ** sum(epoch >= step for step in schedule.steps))


def _warm_up(schedule: Schedule, epoch: int) -> float:
    """Factor during warm-up; epoch `warm_up_epochs`, counted from 0, is the first at the highest rate."""
    if schedule.warm_up_from is None:
        return (epoch + 1) / (schedule.warm_up_epochs + 1)
    return schedule.warm_up_from + (1 - schedule.warm_up_from) * epoch / schedule.warm_up_epochs


def trains_only_classifier(schedule: Schedule, epoch: int) -> bool:
    """Whether everything but the classifiers is frozen during epoch `epoch`, counted from 0."""
    return epoch < schedule.classifier_only_epochs

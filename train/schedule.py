"""The learning rate in force during each epoch."""

import math

from train.recipe import Recipe, Schedule


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Learning rate of epoch `epoch`, counted from 0."""
    return recipe.optimiser.learning_rate * _share(recipe.schedule, epoch)


def _share(schedule: Schedule, epoch: int) -> float:
    if epoch < schedule.warm_up_epochs:
        return (epoch + 1) / (schedule.warm_up_epochs + 1)
    if schedule.shape == "cosine":
        return (1 + math.cos(math.pi * epoch / schedule.epochs)) / 2
    return float(0.1 ** sum(epoch >= step for step in schedule.steps))

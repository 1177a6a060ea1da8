"""The learning rate in force during each epoch, and which layers learn in it."""

import math

from train.recipe import Recipe, Schedule


def learning_rate(recipe: Recipe, epoch: int) -> float:
    """Learning rate of epoch `epoch`, counted from 0."""
    return recipe.optimiser.learning_rate * _share(recipe.schedule, epoch)


def _share(schedule: Schedule, epoch: int) -> float:
    """What the highest learning rate is multiplied by during epoch `epoch`, counted from 0."""
    if epoch < schedule.warm_up_epochs:
        return _warm_up(schedule, epoch)
    if schedule.shape == "cosine":
        return (1 + math.cos(math.pi * epoch / schedule.epochs)) / 2
    return float(schedule.factor ** sum(epoch >= step for step in schedule.steps))


def _warm_up(schedule: Schedule, epoch: int) -> float:
    """The epochs below the highest rate: epoch `warm_up_epochs`, counted from 0, is the first one at it."""
    if schedule.warm_up_from is None:
        return (epoch + 1) / (schedule.warm_up_epochs + 1)
    return schedule.warm_up_from + (1 - schedule.warm_up_from) * epoch / schedule.warm_up_epochs


def trains_only_classifier(schedule: Schedule, epoch: int) -> bool:
    """Whether everything but the classifiers is frozen during epoch `epoch`, counted from 0."""
    return epoch < schedule.classifier_only_epochs

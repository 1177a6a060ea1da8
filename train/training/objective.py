"""The quantity that training minimises: the losses of a recipe, over branches, networks and processes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from train.models.training_output import TrainingOutput
from train.recipes.recipe import Losses, Recipe
from train.training.losses import (
    CentreLoss,
    batch_hard_triplet,
    combine_branches,
    entropy,
    label_smoothed_cross_entropy,
    mutual_learning_losses,
    weighted_attribute_loss,
)

_HALVES = (torch.float16, torch.bfloat16)
Gather = Callable[[Tensor], Tensor]
"""Gathers the rows of all processes, differentiable: `Processes.gather`."""
Classify = Callable[[Tensor, Tensor], Tensor]
"""The loss of one classifier from its logits and the labels."""
Measured = dict[str, Tensor]
"""Each loss of a step by its name, before its weight; the mean over networks."""


class Objective(nn.Module):
    """The weighted losses of a recipe. Class centres, if it has them, are this module's parameters.

    lengths: of a network's embeddings. Triplets and centres see the batch of all processes, so their losses are those
    of the whole batch.
    """

    def __init__(
        self, recipe: Recipe, *, classify: Classify, classes: int, lengths: Sequence[int], gather: Gather
    ) -> None:
        super().__init__()
        losses = recipe.losses
        self._losses = losses
        self._classify = classify
        self._gather = gather
        self._networks = recipe.networks
        self._weights = {
            "classifier": 1.0,
            "entropy": -losses.entropy_weight,  # a confident prediction has a low entropy
            "triplet": losses.triplet_weight,
            "centre": losses.centre_weight,
            "mutual": losses.mutual_weight,
        }
        self.centres = nn.ModuleList(
            nn.ModuleList(CentreLoss(classes, length, learned=losses.centres == "learned") for length in lengths)
            for _ in range(recipe.networks if losses.centre_weight else 0)
        )

    def measure(self, outputs: Sequence[TrainingOutput], labels: Tensor) -> Measured:
        """The losses of a batch. outputs: one per network. labels: see `TrainingBatch` of the loader."""
        exact = [TrainingOutput(_floats(output.logits), _floats(output.embeddings)) for output in outputs]
        own = [self._of_one(number, output, labels=labels) for number, output in enumerate(exact)]
        measured = {name: torch.stack([losses[name] for losses in own]).mean() for name in own[0]}
        if self._losses.mutual_weight:
            measured["mutual"] = torch.stack(mutual_learning_losses([output.logits[0] for output in exact])).mean()
        return measured

    def total(self, measured: Measured, *, with_triplet: bool) -> Tensor:
        """The loss that the step minimises. with_triplet: whether the triplet loss counts."""
        counted = [name for name in measured if with_triplet or name != "triplet"]
        mean = torch.stack([self._weights[name] * measured[name] for name in counted]).sum()
        return mean * self._networks  # each network gets its full loss, not a share of the mean

    def accuracy(self, output: TrainingOutput, labels: Tensor) -> Tensor:
        """The share of classes, or of attributes, that the first classifier of a network gets right."""
        return accuracy(output.logits[0].detach(), labels)

    def unscale_centre_gradients(self) -> None:
        """Divide the centres' gradients by the centre loss's weight, so that their learning rate does not depend on it.

        They have their own optimiser. The weight includes the mean over branches.
        """
        is_mean = self._losses.over_branches == "mean"
        for network in cast(Sequence[nn.ModuleList], self.centres):
            share = self._losses.centre_weight / (len(network) if is_mean else 1)
            for centre in network.parameters():
                if centre.grad is not None:
                    centre.grad /= share

    def _of_one(self, number: int, output: TrainingOutput, *, labels: Tensor) -> Measured:
        """The losses of one network."""
        losses, rule = self._losses, self._losses.over_branches
        measured = {"classifier": combine_branches([self._classify(rows, labels) for rows in output.logits], rule=rule)}
        if losses.entropy_weight:
            measured["entropy"] = combine_branches([entropy(rows) for rows in output.logits], rule=rule)
        if not (losses.triplet_weight or losses.centre_weight):
            return measured
        embeddings, all_labels = [self._gather(rows) for rows in output.embeddings], self._gather(labels)
        if losses.triplet_weight:
            measured["triplet"] = combine_branches(
                [
                    batch_hard_triplet(rows, all_labels, margin=losses.triplet_margin)
                    for rows in self._mined(embeddings)
                ],
                rule=rule,
            )
        if losses.centre_weight:
            centres = cast(nn.ModuleList, self.centres[number])
            distances = [centre(rows, all_labels) for centre, rows in zip(centres, embeddings, strict=True)]
            measured["centre"] = combine_branches(distances, rule=rule)
        return measured

    def _mined(self, embeddings: Sequence[Tensor]) -> Sequence[Tensor]:
        """The embeddings on which triplets are measured."""
        if self._losses.triplet_on == "concatenation":
            embeddings = [torch.cat(list(embeddings), dim=1)]
        if self._losses.triplet_on_unit_length:
            embeddings = [functional.normalize(rows) for rows in embeddings]
        return embeddings


def cross_entropy(losses: Losses) -> Classify:
    """The classifiers' loss for images of one class each."""
    return partial(label_smoothed_cross_entropy, smoothing=losses.label_smoothing)


def attribute_entropy(positive_ratios: Tensor) -> Classify:
    """The classifiers' loss for images with yes-or-no attributes. positive_ratios: (A,), on the training images."""
    return partial(weighted_attribute_loss, positive_ratios=positive_ratios)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """The share of classes, or of attributes, that the logits predict correctly."""
    right = logits.argmax(dim=1) == labels if labels.ndim == 1 else (logits > 0) == (labels > 0)
    return right.float().mean()


def _floats(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """In float32 at least."""
    return tuple(tensor.float() if tensor.dtype in _HALVES else tensor for tensor in tensors)

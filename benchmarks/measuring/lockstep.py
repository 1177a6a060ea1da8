"""Training steps of our loop in float64, noted one by one, and how far another loop's are from them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input
from train.datasets.images import ImageArray
from train.machine.processes import Processes
from train.models.catalog import embedding_lengths
from train.recipes.recipe import Recipe
from train.training.batches.loader import TrainingBatch, TrainingImages
from train.training.batches.store import ImageSize, open_store
from train.training.loop import EpochReport, Trainer
from train.training.objective import Gather, Measured, Objective, cross_entropy

Named = dict[str, Tensor]
_CPU = torch.device("cpu")
_ROUNDING = 1e-9
"""A gradient is rounding alone if in no step any entry exceeds this share of the step's largest."""
_MEAN_BEHIND = {"fc.0.bias": "fc.1.running_mean"}
"""The running mean that takes an idle bias off again. OSNet's instance norms, which do so too, keep none."""


@dataclass(frozen=True)
class Steps:
    """What steps gave. losses and gradients (by name): of each. weights: the network's state after the last."""

    losses: list[float]
    gradients: list[Named]
    weights: Named


@dataclass(frozen=True)
class Differences:
    """How far two loops are apart. first_*: in the first step that trains everything; others over all steps.

    Losses and gradients are relative: a gradient to the largest entry of its own tensor, or to a millionth of the
    largest gradient of all where its tensor is smaller (those before a norm are zero but for rounding); weights are
    relative to the largest entry of their tensor, or to 1 where that is smaller.
    idle_weight: of a bias in front of a norm and of that norm's running mean, apart from the others: the norm takes the
    bias off again, so its gradient is rounding alone, of which AMSGrad makes steps all the same. idle: how many.
    """

    first_loss: float
    first_gradient: float
    loss: float
    weight: float
    idle_weight: float
    idle: int


class NotedImages:
    """The batches of `TrainingImages`, each noted as the network gets it: (pixels in float64, labels)."""

    def __init__(self, images: TrainingImages, scale: Callable[[Tensor], Tensor]) -> None:
        self._images, self._scale = images, scale
        self.noted: list[tuple[Tensor, Tensor]] = []

    def epoch(self, number: int, *, seed: int) -> tuple[int, Iterator[TrainingBatch]]:
        """See `TrainingImages`."""
        count, batches = self._images.epoch(number, seed=seed)
        return count, self._note(batches)

    def _note(self, batches: Iterator[TrainingBatch]) -> Iterator[TrainingBatch]:
        for batch in batches:
            self.noted.append((self._scale(batch.images).double().contiguous(), batch.labels.clone()))
            yield batch


class NotedObjective(Objective):
    """The losses of a recipe, each step's total noted in full: reports hold means in float32."""

    def __init__(self, recipe: Recipe, *, classes: int, lengths: tuple[int, ...], gather: Gather) -> None:
        super().__init__(recipe, classify=cross_entropy(recipe.losses), classes=classes, lengths=lengths, gather=gather)
        self.noted: list[float] = []

    def total(self, measured: Measured, *, with_triplet: bool) -> Tensor:
        """See `Objective`."""
        loss = super().total(measured, with_triplet=with_triplet)
        self.noted.append(float(loss.detach()))
        return loss


def take_our_steps(network: nn.Module, recipe: Recipe, *, classes: int) -> tuple[Steps, list[tuple[Tensor, Tensor]]]:
    """Train by the recipe on one batch of noise per epoch, in float64. Returns the steps and the batches.

    network: in float64; it is trained. The loop is the one that users train with; only its numbers are longer.
    """
    processes = Processes(_CPU)
    labels = np.arange(recipe.batches.size) % classes
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), recipe.height_px, recipe.width_px, 3))
    size = ImageSize(recipe.height_px, recipe.width_px, "bilinear-half-pixel")
    store = open_store(ImageArray(pixels.astype(np.uint8)), size, device=_CPU)
    lengths: tuple[int, ...] = ()
    if recipe.losses.centre_weight:
        lengths = embedding_lengths(
            recipe.architecture, classes=classes, height_px=recipe.height_px, width_px=recipe.width_px
        )
    objective = NotedObjective(recipe, classes=classes, lengths=lengths, gather=processes.gather).double()
    given = TrainingImages(store, labels, recipe=recipe, processes=processes, fill=torch.zeros(3, dtype=torch.uint8))
    network.register_forward_pre_hook(lambda _, images: tuple(image.double() for image in images))
    trainer = Trainer(
        [network],
        recipe,
        images=given,
        objective=objective,
        input_=Input(height_px=recipe.height_px, width_px=recipe.width_px),
        processes=processes,
        seed=0,
        precision=torch.float32,
    )
    noted = NotedImages(given, trainer._scale)
    trainer._images = noted  # type: ignore[assignment]
    steps = Steps(objective.noted, [], {})

    def note(_: EpochReport) -> None:
        named = trainer.networks[0].named_parameters()
        steps.gradients.append({name: value.grad.clone() for name, value in named if value.grad is not None})

    trainer.run(after_epoch=note)
    steps.weights.update({name: value.clone() for name, value in network.state_dict().items()})
    return steps, noted.noted


def compare_steps(ours: Steps, other: Steps, *, frozen: int) -> Differences:
    """Compare two loops that took the same steps. frozen: how many of the first steps train the classifiers only."""
    apart = [_share(a - b, b) for a, b in zip(ours.losses, other.losses, strict=True)]
    weights = {name: _weight_apart(ours.weights[name], value) for name, value in other.weights.items()}
    idle = _find_idle(other.gradients[frozen:])
    return Differences(
        first_loss=apart[frozen],
        first_gradient=_gradients_apart(ours.gradients[frozen], other.gradients[frozen]),
        loss=max(apart),
        weight=max(value for name, value in weights.items() if name not in idle),
        idle_weight=max((weights[name] for name in idle), default=0.0),
        idle=len(idle),
    )


def _find_idle(gradients: list[Named]) -> set[str]:
    """The biases that a norm takes off again, and the running means that do so. gradients: of steps that train all."""
    largest = [max(float(value.abs().max()) for value in step.values()) for step in gradients]
    idle = {
        name
        for name in gradients[0]
        if name.endswith(".bias")
        and all(float(step[name].abs().max()) < _ROUNDING * most for step, most in zip(gradients, largest, strict=True))
    }
    return idle | {mean for bias, mean in _MEAN_BEHIND.items() if bias in idle}


def _share(difference: float, of: float) -> float:
    return abs(difference) / abs(of)


def _gradients_apart(ours: Named, other: Named) -> float:
    assert ours.keys() == other.keys(), sorted(ours.keys() ^ other.keys())
    least = max(float(value.abs().max()) for value in other.values()) * 1e-6
    return max(
        float((ours[name] - value).abs().max()) / max(float(value.abs().max()), least) for name, value in other.items()
    )


def _weight_apart(ours: Tensor, other: Tensor) -> float:
    difference = (ours.double() - other.double()).abs().max()
    return float(difference / other.double().abs().max().clamp(min=1))

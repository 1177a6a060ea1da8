"""The training loop: batches through networks, objective and optimisers, epoch by epoch, with exact resume."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from edge_runtime.contract.errors import TrainingError
from edge_runtime.contract.manifest import Input
from train.machine.mixed_precision import compute_in
from train.machine.processes import Processes, synchronize_norms
from train.models.pixels import PixelScale
from train.models.training_output import TrainingOutput
from train.models.weights import load_weights
from train.recipes.recipe import Recipe
from train.training.batches.loader import TrainingBatch, TrainingImages
from train.training.dynamic_training import Controller
from train.training.meters import EpochMeans
from train.training.objective import Measured, Objective
from train.training.optimisers import (
    build_centre_optimiser,
    build_optimiser,
    learning_rate,
    set_rate,
    trains_only_classifier,
)

logger = logging.getLogger(__name__)

_LOOK_EVERY = 50
"""Steps between two checks of the loss: each check waits for the device."""


@dataclass(frozen=True)
class EpochReport:
    """Means over the images of one epoch.

    loss: what was minimised, the mean over networks. losses: each part by name, before its weight. accuracy: share of
    augmented training images that the first classifier gets right, or of attributes.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    images_per_s: float
    losses: dict[str, float]


class Trainer:
    """Trains the networks of one recipe.

    The state of a run is that of networks, objective, optimisers and controller, and the number of finished epochs:
    batches, augmentation and dropout depend only on seed and epoch, so a resumed run equals one that was not stopped.
    precision: of the forward pass; weights, losses and sums stay in float32.
    """

    def __init__(  # noqa: PLR0913 - a run consists of these
        self,
        networks: Sequence[nn.Module],
        recipe: Recipe,
        *,
        images: TrainingImages,
        objective: Objective,
        input_: Input,
        processes: Processes,
        seed: int,
        precision: torch.dtype,
        compiles: bool = False,
    ) -> None:
        device = processes.device
        self.input_ = input_
        self.networks = tuple(_placed(synchronize_norms(network, processes), device) for network in networks)
        self.finished_epochs = 0
        self._recipe = recipe
        self._images = images
        self._objective = objective.to(device)
        self._processes = processes
        self._seed = seed
        self._compiles = compiles
        self._scale = PixelScale(input_, device)
        self.precision = precision
        self._optimiser = build_optimiser(self.networks, recipe.optimiser)
        self._centre_optimiser = build_centre_optimiser(self._objective, recipe.losses)
        self._controller = None if recipe.dynamic is None else Controller(recipe.dynamic)
        self._learners = tuple(_compiled(own, device) for own in self.networks) if compiles else self.networks

    def run(self, *, after_epoch: Callable[[EpochReport], None]) -> None:
        """Train until the recipe's last epoch, calling `after_epoch` at the end of each.

        Raises:
            TrainingError: the loss is no longer a number.
        """
        while self.finished_epochs < self._recipe.schedule.epochs:
            report = self._epoch(self.finished_epochs)
            self.finished_epochs += 1
            after_epoch(report)

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to continue from here: tensors and plain values."""
        return {
            "recipe": self._recipe.name,
            "seed": self._seed,
            "finished_epochs": self.finished_epochs,
            "networks": [network.state_dict() for network in self.networks],
            "objective": self._objective.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers()],
            "controller": None if self._controller is None else self._controller.state(),
        }

    def restore(self, state: dict[str, Any], *, source: Path) -> None:
        """Continue where `state` was called. source: the file that held it, for messages.

        Raises:
            TrainingError: the state is that of another recipe or seed.
        """
        found = (state.get("recipe"), state.get("seed"))
        if found != (self._recipe.name, self._seed):
            raise TrainingError(f"{source} is of recipe {found[0]} with seed {found[1]}, not {self._recipe.name}")
        for network, weights in zip(self.networks, state["networks"], strict=True):
            load_weights(network, weights, source=source)
        self._objective.load_state_dict(state["objective"])
        for optimiser, content in zip(self._optimisers(), state["optimisers"], strict=True):
            optimiser.load_state_dict(content)
        if self._controller is not None:
            self._controller.restore(state["controller"])
        self.finished_epochs = state["finished_epochs"]

    def _optimisers(self) -> list[torch.optim.Optimizer]:
        return [self._optimiser, *([] if self._centre_optimiser is None else [self._centre_optimiser])]

    def _epoch(self, epoch: int) -> EpochReport:
        rate = learning_rate(self._recipe, epoch)
        set_rate(self._optimiser, rate)
        self._let_learn(only_classifier=trains_only_classifier(self._recipe.schedule, epoch))
        torch.manual_seed(_dropout_seed(self._seed, epoch, self._processes.rank))
        started, means = time.perf_counter(), EpochMeans(self._processes)
        bar = self._bar(epoch)
        for number, batch in enumerate(bar):
            means.add(self._step(batch, epoch), images=len(batch.images))
            if number % _LOOK_EVERY == 0:
                loss = means.latest("loss")
                _check(loss, epoch=epoch, rate=rate)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        for network in self.networks:
            self._processes.average_statistics(network)
        figures = means.means()
        loss, accuracy = figures.pop("loss"), figures.pop("accuracy")
        _check(loss, epoch=epoch, rate=rate)
        seconds = time.perf_counter() - started
        return EpochReport(epoch + 1, loss, accuracy, rate, seconds, means.images / seconds, figures)

    def _bar(self, epoch: int) -> Any:
        """The batches of an epoch, as a progress bar."""
        controller = self._controller
        if controller is None:
            length, batches = self._images.epoch(epoch, seed=self._seed)
        else:
            length, batches = self._images.dynamic_epoch(epoch, seed=self._seed, phase=lambda: controller.phase)
        label = f"epoch {epoch + 1}/{self._recipe.schedule.epochs}"
        is_silent = None if self._processes.is_first else True  # None: silent if not in a terminal
        return tqdm(batches, total=length, desc=label, unit="batch", leave=False, disable=is_silent)

    def _step(self, batch: TrainingBatch, epoch: int) -> Measured:
        """One update. Returns its loss, accuracy and the parts of the loss, without gradients."""
        if self._compiles:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with compute_in(self._processes.device, self.precision):
            pixels = self._scale(batch.images)
            outputs: list[TrainingOutput] = [network(pixels) for network in self._learners]
        measured = self._objective.measure(outputs, batch.labels)
        total = self._objective.total(measured, with_triplet=self._takes_triplets(measured, epoch))
        self._update(total)
        right = self._objective.accuracy(outputs[0], batch.labels)
        loss = total.detach() / len(self.networks)
        return {"loss": loss, "accuracy": right, **{name: value.detach() for name, value in measured.items()}}

    def _update(self, total: Tensor) -> None:
        for optimiser in self._optimisers():
            optimiser.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        for network in self.networks:
            self._processes.average_gradients(network)
        self._objective.unscale_centre_gradients()
        for optimiser in self._optimisers():
            optimiser.step()

    def _takes_triplets(self, measured: Measured, epoch: int) -> bool:
        """Whether this step counts triplets. Dynamic training needs the losses, so it waits for the device."""
        if epoch < self._recipe.losses.triplet_from_epoch:
            return False
        if self._controller is None:
            return True
        both = torch.stack([measured["classifier"].detach(), measured["triplet"].detach()])
        return self._controller.observe(*self._processes.mean(both).tolist()) == "both"

    def _let_learn(self, *, only_classifier: bool) -> None:
        """Train all layers, or only the classifiers; the norms of frozen layers keep their running statistics."""
        for network in self.networks:
            _let_learn(network, only_classifier=only_classifier)


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    return cast(nn.Module, network.to(device, memory_format=torch.channels_last))  # type: ignore[call-overload]


def _compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """On a GPU also recorded as a CUDA graph, because a small network is limited by the launches of its kernels."""
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return cast(nn.Module, torch.compile(network, mode=mode))


def _let_learn(network: nn.Module, *, only_classifier: bool) -> None:
    network.train(not only_classifier)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(not only_classifier or name.startswith("classifier"))
    if only_classifier:
        network.training = True  # the network itself still returns its TrainingOutput
        for name, child in network.named_children():
            child.train(name.startswith("classifier"))


def _check(loss: float, *, epoch: int, rate: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(f"the loss became {loss} in epoch {epoch + 1}; lower the learning rate {rate:g}")


def _dropout_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])

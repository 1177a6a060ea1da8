"""The training loop: batches through network, losses and optimiser, epoch by epoch, with exact resume."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from edge_runtime.contract.errors import TrainingError
from edge_runtime.contract.manifest import Input
from train import checkpoint
from train.data.loader import Batch, TrainingImages
from train.losses import batch_hard_triplet, label_smoothed_cross_entropy
from train.models.output import TrainingOutput
from train.models.pixels import normalise_pixels
from train.recipe import Optimiser, Recipe
from train.schedule import learning_rate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EpochReport:
    """Means over the images of one epoch. accuracy is that of the classifier on augmented training images."""

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float
    images_per_s: float


def precision_for(device: torch.device) -> torch.dtype:
    """bfloat16 where the device computes in it, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    has_mkldnn = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return torch.bfloat16 if has_mkldnn and torch.ops.mkldnn._is_mkldnn_bf16_supported() else torch.float32


class Trainer:
    """Trains one network by one recipe on one device.

    State that a resumed run needs is the network, the optimiser and the number of finished epochs: batches and
    augmentation follow from seed and epoch.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, images: TrainingImages, *, device: torch.device, seed: int
    ) -> None:
        self.network: nn.Module = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.finished_epochs = 0
        self._recipe = recipe
        self._images = images
        self._device = device
        self._seed = seed
        self._input = Input(height_px=recipe.height_px, width_px=recipe.width_px)
        self._optimiser = _optimiser(network, recipe.optimiser)
        self._dtype = precision_for(device)

    def run(self, *, after_epoch: Callable[[EpochReport], None]) -> None:
        """Train until the recipe's last epoch, calling `after_epoch` at the end of each.

        Raises:
            TrainingError: the loss is no longer a number, or the device's memory is full.
        """
        try:
            while self.finished_epochs < self._recipe.schedule.epochs:
                report = self._epoch(self.finished_epochs)
                self.finished_epochs += 1
                after_epoch(report)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"the memory of {self._device} is full at batch size {self._recipe.batches.size}; "
                "use a smaller batch, a smaller network or a larger GPU"
            ) from error

    def save(self, path: Path) -> None:
        """Write what `resume` needs, atomically."""
        state = {
            "recipe": self._recipe.name,
            "seed": self._seed,
            "finished_epochs": self.finished_epochs,
            "network": self.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        checkpoint.save(state, path)

    def resume(self, path: Path) -> None:
        """Go on where `save` was called.

        Raises:
            TrainingError: the state is that of another recipe or seed.
        """
        state = checkpoint.read(path)
        found = (state.get("recipe"), state.get("seed"))
        if found != (self._recipe.name, self._seed):
            raise TrainingError(f"{path} is of recipe {found[0]} with seed {found[1]}, not {self._recipe.name}")
        checkpoint.load_weights(self.network, state["network"], source=path)
        self._optimiser.load_state_dict(state["optimiser"])
        self.finished_epochs = state["finished_epochs"]

    def _epoch(self, epoch: int) -> EpochReport:
        rate = learning_rate(self._recipe, epoch)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._freeze(only_classifier=epoch < self._recipe.schedule.classifier_only_epochs)
        started = time.perf_counter()
        loss_sum = torch.zeros((), dtype=torch.float64, device=self._device)
        right = torch.zeros((), dtype=torch.int64, device=self._device)
        seen = 0
        batches = tqdm(
            self._images.epoch(epoch, seed=self._seed),
            total=self._images.batches_per_epoch(seed=self._seed),
            desc=f"epoch {epoch + 1}/{self._recipe.schedule.epochs}",
            unit="batch",
            leave=False,
            disable=None,
        )
        for batch in batches:
            loss, correct = self._step(batch, epoch)
            loss_sum += loss * len(batch.labels)
            right += correct
            seen += len(batch.labels)
        mean_loss = float(loss_sum) / seen
        if not math.isfinite(mean_loss):
            raise TrainingError(f"the loss became {mean_loss} in epoch {epoch + 1}; lower the learning rate {rate:g}")
        seconds = time.perf_counter() - started
        return EpochReport(epoch + 1, mean_loss, int(right) / seen, rate, seconds, seen / seconds)

    def _step(self, batch: Batch, epoch: int) -> tuple[Tensor, Tensor]:
        """One update. Returns the loss and how many images the first classifier got right."""
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype != torch.float32):
            output = self.network(normalise_pixels(batch.images, self._input))
        loss = self._objective(output, batch.labels, epoch)
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return loss.detach(), (output.logits[0].argmax(dim=1) == batch.labels).sum()

    def _objective(self, output: TrainingOutput, labels: Tensor, epoch: int) -> Tensor:
        losses = self._recipe.losses
        identity = [
            label_smoothed_cross_entropy(logits.float(), labels, smoothing=losses.label_smoothing)
            for logits in output.logits
        ]
        total = torch.stack(identity).mean()
        if losses.triplet_weight and epoch >= losses.triplet_from_epoch:
            embeddings = [rows.float() for rows in output.embeddings]
            if losses.triplet_on_unit_length:
                embeddings = [functional.normalize(rows) for rows in embeddings]
            triplets = [batch_hard_triplet(rows, labels, margin=losses.triplet_margin) for rows in embeddings]
            total = total + losses.triplet_weight * torch.stack(triplets).mean()
        return total

    def _freeze(self, *, only_classifier: bool) -> None:
        """Let all learn, or only the classifier; frozen norms keep their running statistics."""
        self.network.train(not only_classifier)
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(not only_classifier or name.startswith("classifier"))
        if only_classifier:
            self.network.training = True  # the network itself still returns its TrainingOutput
            for name, child in self.network.named_children():
                child.train(name.startswith("classifier"))


def _optimiser(network: nn.Module, settings: Optimiser) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    if settings.name == "sgd":
        return torch.optim.SGD(
            parameters, settings.learning_rate, momentum=settings.momentum, weight_decay=settings.weight_decay
        )
    return torch.optim.Adam(parameters, settings.learning_rate, weight_decay=settings.weight_decay, amsgrad=True)

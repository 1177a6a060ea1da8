"""Trains two tiny networks without batch norms, alone or in several processes, and prints the log and sums of weights.

For tests/train/machine/test_processes.py.
"""

import json

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.contract.manifest import Input
from train.machine.processes import join_processes, leave
from train.models.training_output import TrainingOutput
from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule
from train.training import loop
from train.training.batches.loader import TrainingImages
from train.training.batches.store import KeptPixels
from train.training.objective import Objective, cross_entropy

RECIPE = Recipe(
    name="together",
    architecture="tiny",
    data_set="none",
    height_px=16,
    width_px=8,
    batches=Batches(size=24, images_per_identity=4),
    augmentation=Augmentation(flip=0.0),
    losses=Losses(triplet_weight=1.0, centre_weight=0.1, entropy_weight=0.1, mutual_weight=0.5),
    optimiser=Optimiser("sgd", 0.05),
    schedule=Schedule(epochs=3, shape="cosine"),
    expected=Expected("test"),
    networks=2,
)
CLASSES, IMAGES = 12, 8


class Tiny(nn.Module):
    """One convolution, one classifier, one running statistic.

    A batch norm would normalise by the statistics of its process' share between CPUs, and so make another network.
    """

    running_mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=2)
        self.classifier = nn.Linear(8, CLASSES)
        self.register_buffer("running_mean", torch.zeros(()))

    def forward(self, images: Tensor) -> TrainingOutput:
        self.running_mean = 0.9 * self.running_mean + 0.1 * images.mean()
        descriptor = self.conv(images).relu().mean(dim=(2, 3))
        return TrainingOutput((self.classifier(descriptor),), (descriptor,))


def main() -> None:
    """Train, and print a JSON object."""
    with join_processes("cpu") as processes:
        torch.manual_seed(0)
        labels = np.repeat(np.arange(CLASSES), IMAGES)
        pixels = torch.randint(0, 256, (len(labels), 16, 8, 3), dtype=torch.uint8)
        networks = [Tiny() for _ in range(RECIPE.networks)]
        objective = Objective(
            RECIPE, classify=cross_entropy(RECIPE.losses), classes=CLASSES, lengths=[8], gather=processes.gather
        )
        images = TrainingImages(
            KeptPixels(pixels, device=processes.device),
            labels,
            recipe=RECIPE,
            processes=processes,
            fill=torch.zeros(3, dtype=torch.uint8),
        )
        input_ = Input(height_px=16, width_px=8)
        trainer = loop.Trainer(
            networks,
            RECIPE,
            images=images,
            objective=objective,
            input_=input_,
            processes=processes,
            seed=1,
            precision=torch.float32,  # sums in bfloat16 are too coarse
        )
        reports: list[loop.EpochReport] = []
        trainer.run(after_epoch=reports.append)
        if processes.is_first:
            weights = [float(value.double().sum()) for n in trainer.networks for value in n.state_dict().values()]
            centres = [float(value.double().sum()) for value in objective.state_dict().values()]
            figures = [{"loss": report.loss, "accuracy": report.accuracy, **report.losses} for report in reports]
            print(json.dumps({"epochs": figures, "weights": weights + centres}))


if __name__ == "__main__":
    main()
    leave(0)

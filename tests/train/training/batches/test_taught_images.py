"""Every image of a batch carries the number of the teachers' row that describes it."""

from dataclasses import replace

import numpy as np
import torch

from train.machine.processes import Processes
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Augmentation, Recipe
from train.training.batches.store import KeptPixels
from train.training.batches.taught_images import TaughtImages

ALONE = Processes(torch.device("cpu"))


def recipe(flip: float) -> Recipe:
    batches = replace(find_recipe("distil_osnet").batches, size=8)
    return find_recipe("distil_osnet").variant("small", batches=batches, augmentation=Augmentation(flip=flip))


def test_labels_say_which_image_it_is_and_whether_it_was_mirrored() -> None:
    """2n is image n, 2n + 1 is image n mirrored; each image comes once an epoch, and a seed repeats it."""
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (24, 6, 4, 3), np.uint8))
    store = KeptPixels(pixels, device=ALONE.device)
    images = TaughtImages(
        store, np.arange(24), recipe=recipe(0.5), processes=ALONE, fill=torch.zeros(3, dtype=torch.uint8)
    )
    length, batches = images.epoch(0, seed=3)
    seen = list(batches)
    assert len(seen) == length == 3
    labels = torch.cat([batch.labels for batch in seen])
    assert sorted((labels // 2).tolist()) == list(range(24))
    assert 0 < int((labels % 2).sum()) < 24
    for image, label in zip(torch.cat([batch.images for batch in seen]), labels.tolist(), strict=True):
        original = pixels[label // 2].permute(2, 0, 1)
        assert torch.equal(image, original.flip(2) if label % 2 else original)
    again = torch.cat([batch.labels for batch in images.epoch(0, seed=3)[1]])
    assert torch.equal(again, labels)

"""Distillation as a task: crops without labels, described by teachers, and scored on the test images of a data set."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError
from train.datasets.catalog import open_folder
from train.datasets.crops import UNKNOWN, TrainingCrops, read_crops
from train.datasets.images import ImageFiles
from train.datasets.samples import LabelledImages, ReidData
from train.models.teacher import describe_all, open_teacher
from train.recipes.recipe import Recipe
from train.training.distillation import DistillationObjective
from train.training.objective import Gather
from train.training.tasks import Reid


class DistilledReid(Reid):
    """Re-identification learned from teachers' descriptors of crops, and scored on the test images of a data set.

    taught: per teacher, its descriptors of all crops: see `DistillationObjective`. terms: licences of the teachers.
    """

    def __init__(
        self, crops: TrainingCrops, recipe: Recipe, *, taught: Sequence[NDArray[np.float32]], terms: str, test: ReidData
    ) -> None:
        assert recipe.distillation is not None
        self.name, self.terms = crops.name, f"{crops.terms}; {terms}"
        self._identities = np.array(crops.identities, np.int64)
        known = int(self._identities.max()) + 1 if recipe.distillation.labels_weight else 0
        self.classes = sum(rows.shape[1] for rows in taught) + known
        self.train = LabelledImages(ImageFiles(crops.paths), np.arange(len(crops.paths)))
        self._taught = [torch.from_numpy(rows) for rows in taught]
        self._recipe = recipe
        self._test = test
        self.trained_on = None
        self._is_own_test = False

    def build_objective(self, recipe: Recipe, *, gather: Gather) -> DistillationObjective:
        """The losses of the recipe against these teachers."""
        identities = torch.from_numpy(self._identities)
        return DistillationObjective(
            recipe, taught=self._taught, identities=identities, classes=self.classes, gather=gather
        )


def open_distillation(
    recipe: Recipe, *, crops: Sequence[Path], teachers: Sequence[Path], test: Path, cache: Path
) -> tuple[Recipe, DistilledReid]:
    """The task, and the recipe with the digests of teachers and crops.

    crops, test: folders. teachers: files. cache: the folder where the teachers' descriptors are kept.

    Raises:
        DataError: see `read_crops`.
        ConfigError: the recipe needs labels, and no image has one.
        ConfigError, ManifestError, CheckpointError, EngineError: see `open_teacher`.
    """
    assert recipe.distillation is not None
    tested = open_folder(test)
    found = read_crops(crops, test=tested)
    if recipe.distillation.labels_weight and set(found.identities) == {UNKNOWN}:
        raise ConfigError(
            f"{recipe.name} also learns identities, and no image in {', '.join(map(str, crops))} has one; add a data "
            "set in Market-1501's layout to --data, or take the recipe without labels"
        )
    images = ImageFiles(found.paths)
    with ExitStack() as stack:
        opened = [open_teacher(path, stack) for path in teachers]
        files = [cache / f"{teacher.sha256[:16]}-{found.sha256[:16]}.npy" for teacher in opened]
        taught = [describe_all(teacher, images, cache=file) for teacher, file in zip(opened, files, strict=True)]
    settings = replace(recipe.distillation, teachers=tuple(teacher.sha256 for teacher in opened), crops=found.sha256)
    terms = "; ".join(f"taught by {teacher.name}: {teacher.terms}" for teacher in opened)
    filled = recipe.variant(recipe.name, distillation=settings)
    return filled, DistilledReid(found, filled, taught=taught, terms=terms, test=tested)

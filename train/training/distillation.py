"""The losses of a student against the descriptors of other networks, its teachers."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor
from torch.nn import functional

from train.datasets.crops import UNKNOWN
from train.models.training_output import TrainingOutput
from train.recipes.recipe import Recipe
from train.training.objective import Gather, Measured, Objective, cross_entropy


def teacher_loss(mapped: Tensor, taught: Tensor) -> Tensor:
    """Mean of 1 - cosine between the student's mapped descriptors and a teacher's, both (N, D)."""
    return 1 - functional.cosine_similarity(mapped, taught).mean()


def similarity_loss(descriptors: Tensor, taught: Tensor) -> Tensor:
    """Mean squared difference between the cosine similarities of all pairs of images, student's and teacher's.

    descriptors: (N, D) of the student. taught: (N, E) of the teacher.
    """
    return (_similarities(descriptors) - _similarities(taught)).square().mean()


def _similarities(rows: Tensor) -> Tensor:
    unit = functional.normalize(rows)
    return unit @ unit.T


class DistillationObjective(Objective):
    """The losses of a student against its teachers, and the cross entropy of images whose identity is known.

    The student's classifier is used as the linear maps from its descriptor to the teachers': its outputs are the
    teachers' descriptors side by side, then the identities. Labels are rows of `taught`: see `TaughtImages`.

    taught: per teacher, (2N, D) descriptors. identities: (N,) int64, `UNKNOWN` where not known.
    """

    def __init__(
        self, recipe: Recipe, *, taught: Sequence[Tensor], identities: Tensor, classes: int, gather: Gather
    ) -> None:
        super().__init__(recipe, classify=cross_entropy(recipe.losses), classes=classes, lengths=(), gather=gather)
        assert recipe.distillation is not None
        self._weights = {
            "teacher": 1.0,
            "similarity": recipe.distillation.similarity_weight,
            "classifier": recipe.distillation.labels_weight,
        }
        borders = (0, *accumulate(rows.shape[1] for rows in taught))
        self._columns = [slice(*pair) for pair in pairwise(borders)]
        self._identity_columns = slice(borders[-1], None)
        for number, rows in enumerate(taught):
            self.register_buffer(f"taught_{number}", rows, persistent=False)
        self.register_buffer("identities", identities, persistent=False)

    def accuracy(self, output: TrainingOutput, labels: Tensor) -> Tensor:
        """Share of images whose mapped descriptor is nearest to the first teacher's of the same image, in the batch."""
        mapped = functional.normalize(output.logits[0].detach()[:, self._columns[0]].float())
        nearest = (mapped @ functional.normalize(self._taught(0, labels)).T).argmax(dim=1)
        return (nearest == torch.arange(len(labels), device=labels.device)).float().mean()

    def _of_one(self, number: int, output: TrainingOutput, *, labels: Tensor) -> Measured:
        teachers = range(len(self._columns))
        (mapped,), (descriptors,) = output
        all_descriptors, all_labels = self._gather(descriptors), self._gather(labels)
        against = [teacher_loss(mapped[:, self._columns[t]], self._taught(t, labels)) for t in teachers]
        similar = [similarity_loss(all_descriptors, self._taught(t, all_labels)) for t in teachers]
        measured = {"teacher": torch.stack(against).mean(), "similarity": torch.stack(similar).mean()}
        if self._weights["classifier"]:
            measured["classifier"] = self._cross_entropy(mapped[:, self._identity_columns], labels)
        return measured

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean over the images whose identity is known; 0 without any."""
        identities = self.get_buffer("identities")[labels // 2]
        known = identities != UNKNOWN
        if not known.any():
            return logits.sum() * 0
        return self._classify(logits[known], identities[known])

    def _taught(self, teacher: int, labels: Tensor) -> Tensor:
        return self.get_buffer(f"taught_{teacher}")[labels]

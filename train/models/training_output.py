"""The output of a network in train mode, for the losses."""

from typing import NamedTuple

from torch import Tensor


class TrainingOutput(NamedTuple):
    """One entry per classified branch and per embedding that the metric losses see.

    logits: each (N, classes). embeddings: each (N, D), not normalised.
    """

    logits: tuple[Tensor, ...]
    embeddings: tuple[Tensor, ...]

"""Checkpoints of public programs, rebuilt from their names and shapes by the number rule."""

import json
from functools import cache

import numpy as np
import torch
from torch import Tensor

from tests.conftest import ROOT
from tests.golden.rule import image, parameter

GOLDEN = ROOT / "tests" / "golden"


def public_shapes(name: str) -> dict[str, list[int]]:
    """Names and shapes of a public program's state dict."""
    shapes: dict[str, list[int]] = json.loads((GOLDEN / "state_dict" / f"{name}.json").read_text())["shapes"]
    return shapes


@cache
def public_state(name: str, *, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The state dict of which the golden figures were measured."""
    return {key: torch.tensor(parameter(key, tuple(shape)), dtype=dtype) for key, shape in public_shapes(name).items()}


def golden_images(count: int, *, height: int, width: int = 128) -> Tensor:
    """The batch of the golden figures, (count, 3, height, width) float64."""
    return torch.tensor(np.stack([image(number, height=height, width=width) for number in range(count)]))


def golden_features(name: str) -> np.ndarray:
    """Descriptors of the golden batch, (N, D) float32."""
    features: np.ndarray = np.load(GOLDEN / "features" / f"{name}.npy")
    return features

"""Networks that are timed with random weights: what they are called, and how such a model is known."""

import argparse
from dataclasses import dataclass

from calibration.precision_plan import Backend
from edge_runtime.contract.manifest import Manifest, Precision

RANDOM = "random numbers"
"""The terms of weights that nobody trained."""
PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
}


@dataclass(frozen=True)
class Case:
    """An architecture at an input size."""

    architecture: str
    height_px: int
    width_px: int

    def __str__(self) -> str:
        return f"{self.architecture} {self.height_px}x{self.width_px}"


def is_random(manifest: Manifest) -> bool:
    """Whether a model has random weights, to be timed only."""
    return manifest.terms.weights == RANDOM


def size(text: str) -> tuple[int, int]:
    """Height and width out of an option such as 256x128."""
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH in pixels, such as 256x128, found {text!r}")
    return int(height), int(width)

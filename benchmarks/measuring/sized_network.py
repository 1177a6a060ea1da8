"""Networks at an input size, which are timed with random weights."""

import argparse
from dataclasses import dataclass

from calibration.precision_plan import TargetBackend
from edge_runtime.contract.manifest import Manifest, Precision

RANDOM = "random numbers"
"""The terms of random weights, in a manifest."""
PRECISIONS: dict[TargetBackend, tuple[Precision, ...]] = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
}


@dataclass(frozen=True)
class SizedNetwork:
    """An architecture at an input size."""

    architecture: str
    height_px: int
    width_px: int

    def __str__(self) -> str:
        """`osnet_x1_0 256x128`."""
        return f"{self.architecture} {self.height_px}x{self.width_px}"


def is_random(manifest: Manifest) -> bool:
    """Whether a model has random weights, so that it can be timed but not scored."""
    return manifest.terms.weights == RANDOM


def parse_size(text: str) -> tuple[int, int]:
    """Height and width from an option such as 256x128.

    Raises:
        argparse.ArgumentTypeError: it has another form.
    """
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"expected HEIGHTxWIDTH in pixels, such as 256x128, found {text!r}")
    return int(height), int(width)

"""The least time a network can take on a machine, from its arithmetic, its traffic and measured peaks. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Peaks:
    """The machine's highest measured rates, on one thread of the CPU or on the GPU.

    gops: billions of operations per second of a large matrix product, by precision; a multiplication and an addition
    are two. copy_gb_s: billions of bytes per second of a copy that fits no cache, read and written bytes counted.
    fp32_as: the arithmetic of the float32 figure; on a GPU it is what convolutions use by default.
    """

    gops: Mapping[str, float]
    copy_gb_s: float
    fp32_as: str = "float32"


@dataclass(frozen=True)
class LayerLoad:
    """A convolution or linear layer on one image: its multiply-adds, its weights, and its input and output values."""

    mult_adds: int
    weights: int
    values: int


@dataclass(frozen=True)
class NetworkCost:
    """The cost of one image. mult_adds: as `train.models.complexity` counts them."""

    mult_adds: int
    layers: tuple[LayerLoad, ...]

    @property
    def weights(self) -> int:
        """Number of weights of convolutions and linear layers, counted once per use."""
        return sum(layer.weights for layer in self.layers)

    @property
    def values(self) -> int:
        """Number of input and output values of convolutions and linear layers."""
        return sum(layer.values for layer in self.layers)


def arithmetic_ms(cost: NetworkCost, peaks: Peaks, *, precision: str, batch: int) -> float | None:
    """Time of the arithmetic alone, at the machine's peak; None if the peak of this precision is not known."""
    gops = peaks.gops.get(precision)
    return None if gops is None else 2 * cost.mult_adds * batch / gops / 1e6


def layerwise_ms(cost: NetworkCost, peaks: Peaks, *, precision: str, batch: int) -> float | None:
    """Time if every layer reads and writes memory: the sum over layers of the longer of arithmetic and traffic.

    A network can only be faster if it keeps tensors in caches or on the chip.
    """
    gops, width = peaks.gops.get(precision), _BYTES[precision]
    if gops is None:
        return None
    return sum(
        max(
            2 * layer.mult_adds * batch / gops / 1e6,
            width * (layer.values * batch + layer.weights) / peaks.copy_gb_s / 1e6,
        )
        for layer in cost.layers
    )

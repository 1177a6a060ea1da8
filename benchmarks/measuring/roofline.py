"""The least time a network can take on a machine: its arithmetic and its traffic against measured peaks. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from train.models import complexity

_BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1}


@dataclass(frozen=True)
class Peaks:
    """What the machine reached in this run, on one thread of the CPU or on the GPU.

    gops: billions of operations per second of a large matrix product, by precision; a multiplication and an addition
    are two. copy_gb_s: billions of bytes per second of a copy that fits no cache, read and written bytes counted.
    fp32_as: the arithmetic behind the float32 figure, the fastest that convolutions are given by default.
    """

    gops: Mapping[str, float]
    copy_gb_s: float
    fp32_as: str = "float32"


@dataclass(frozen=True)
class Layer:
    """A convolution or linear layer on one image: multiply-adds, and numbers it reads and writes."""

    mult_adds: int
    weights: int
    values: int


@dataclass(frozen=True)
class Cost:
    """What one image costs. mult_adds: as `train.models.complexity` counts them."""

    mult_adds: int
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> int:
        """Numbers in the weights of convolutions and linear layers, once per use."""
        return sum(layer.weights for layer in self.layers)

    @property
    def values(self) -> int:
        """Inputs and outputs of convolutions and linear layers."""
        return sum(layer.values for layer in self.layers)


def arithmetic_ms(cost: Cost, peaks: Peaks, *, precision: str, batch: int) -> float | None:
    """Time of the arithmetic alone at the machine's peak; None where the peak of this precision is not known."""
    gops = peaks.gops.get(precision)
    return None if gops is None else 2 * cost.mult_adds * batch / gops / 1e6


def layerwise_ms(cost: Cost, peaks: Peaks, *, precision: str, batch: int) -> float | None:
    """The same if every layer reads and writes memory: the sum over layers of the longer of arithmetic and traffic.

    Only a network that keeps tensors in caches or on the chip gets below it.
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


def cost_of(network: nn.Module, *, height_px: int, width_px: int) -> Cost:
    """Count one image through a network in eval mode."""
    layers: list[Layer] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights = module.weight.numel()
            each = output.numel() * module.weight[0].numel()
            layers.append(Layer(each, weights, inputs[0].numel() + output.numel()))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        total = complexity.measure_complexity(network, height_px=height_px, width_px=width_px).mult_adds
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(total, tuple(layers))

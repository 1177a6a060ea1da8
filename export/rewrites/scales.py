"""Scales between layers, evened out before INT8: one range for all channels of a tensor then wastes less of it."""

import torch
from torch import Tensor, fx, nn

from export.rewrites.convolutions import is_1x1, is_depthwise
from export.rewrites.graph import finish, is_relu, module_of

_LARGEST_FACTOR = 16.0


def equalise_scales(traced: fx.GraphModule, images: Tensor) -> None:
    """Scale channels to one range where the next layer can take the scale back; images: (N, H, W, 3) uint8.

    Between a 1x1 and a depthwise convolution nothing stands in the way, and a ReLU lets positive factors through to
    the next 1x1. Factors are powers of two, so that the function stays the same to the last bit: only exponents change.
    """
    largest = _largest_per_channel(traced, images)
    for node in list(traced.graph.nodes):
        first = module_of(traced, node)
        if not isinstance(first, nn.Conv2d):
            continue
        value = node
        if len(node.users) == 1 and is_relu(traced, next(iter(node.users))):
            value = next(iter(node.users))
        readers = [module_of(traced, reader) for reader in value.users]
        if readers and all(_takes_scales(reader, through_relu=value is not node) for reader in readers):
            columns = torch.stack([_largest_weights(reader) for reader in readers]).amax(dim=0)
            factors = _factors(largest[value], columns)
            _multiply_outputs(first, factors)
            for reader in readers:
                assert isinstance(reader, nn.Conv2d)
                _divide_inputs(reader, factors)
    finish(traced)


def _takes_scales(module: nn.Module | None, *, through_relu: bool) -> bool:
    if not isinstance(module, nn.Conv2d):
        return False
    return is_1x1(module) if through_relu else is_depthwise(module)


def _largest_per_channel(traced: fx.GraphModule, images: Tensor) -> dict[fx.Node, Tensor]:
    watched = _Watched(traced)
    with torch.inference_mode():
        watched.run(images)
    return watched.largest


class _Watched(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.largest: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor) and result.dim() == 4:
            self.largest[n] = result.abs().amax(dim=(0, 2, 3)).double()
        return result


def _largest_weights(conv: nn.Module | None) -> Tensor:
    """What each input channel is multiplied by at most; 1 where each has a weight scale of its own. (C,) float64."""
    assert isinstance(conv, nn.Conv2d)
    if is_depthwise(conv):
        return torch.ones(conv.in_channels, dtype=torch.float64)
    return conv.weight.detach().double().abs().amax(dim=(0, 2, 3))


def _factors(largest: Tensor, weights: Tensor) -> Tensor:
    """What each channel is multiplied with, a power of two. All: (C,) float64.

    A depthwise reader has a weight scale per channel, so activations alone count: they all get the range of the
    largest. A 1x1 has one scale for all inputs of an output: there the spread is shared between both.
    """
    ratio = largest.max() / largest.clamp_min(1e-12)
    if not torch.all(weights == 1):
        ratio = torch.sqrt(ratio * weights / weights.max())
    return torch.exp2(torch.round(torch.log2(ratio.clamp(1 / _LARGEST_FACTOR, _LARGEST_FACTOR))))


def _multiply_outputs(conv: nn.Conv2d, factors: Tensor) -> None:
    conv.weight.data = (conv.weight.double() * factors.view(-1, 1, 1, 1)).float()
    if conv.bias is not None:
        conv.bias.data = (conv.bias.double() * factors).float()


def _divide_inputs(conv: nn.Conv2d, factors: Tensor) -> None:
    shape = (-1, 1, 1, 1) if is_depthwise(conv) else (1, -1, 1, 1)
    conv.weight.data = (conv.weight.double() / factors.view(shape)).float()

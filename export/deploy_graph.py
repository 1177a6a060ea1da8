"""The network as it is deployed: uint8 pixels in, normalised inside, rewritten exactly, one raw descriptor out."""

import copy
import operator
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from edge_runtime.contract.manifest import Input
from train.models.osnet import ChannelGate

Rewrite = Callable[[fx.GraphModule], None]
"""Changes a graph in place to one that computes the same function with fewer or cheaper steps."""


class DeployedNetwork(nn.Module):
    """forward(pixels: (N, H, W, 3) uint8, RGB) gives descriptors (N, D) float32, not L2-normalised.

    The same function as `train.models.pixels`, in the order of steps that TensorRT asks for.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, input_: Input) -> None:
        super().__init__()
        self.network = network
        # One image row per channel: in INT8 graphs ONNX Runtime puts channels last before these two steps, where
        # one number per channel would make it work three numbers at a time, a fifth of the network's time.
        row = (1, 3, 1, input_.width_px)
        self.register_buffer("mean", 255 * torch.tensor(input_.mean).view(1, 3, 1, 1).expand(row).contiguous())
        self.register_buffer("std", 255 * torch.tensor(input_.std).view(1, 3, 1, 1).expand(row).contiguous())

    def forward(self, pixels: Tensor) -> Tensor:
        # TensorRT takes uint8 at a network's input only when a cast is the first thing that follows.
        images = (pixels.float().permute(0, 3, 1, 2) - self.mean) / self.std  # (N, 3, H, W)
        descriptors: Tensor = self.network(images)  # (N, D)
        return descriptors


class HalfPrecision(nn.Module):
    """A network whose weights and arithmetic are float16, between float32 images and float32 descriptors."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, images: Tensor) -> Tensor:
        descriptors: Tensor = self.network(images.half())
        return descriptors.float()


def deploy(network: nn.Module, input_: Input) -> DeployedNetwork:
    """Rewrite a trained network for inference, in eval mode; `network` itself stays as it is.

    input_: what the network takes; mean and std move into the graph.
    """
    return DeployedNetwork(_rewritten(network), input_).eval()


def deploy_in_half_precision(network: nn.Module, input_: Input) -> DeployedNetwork:
    """`deploy`, in float16 but for pixels, normalisation and descriptor."""
    return DeployedNetwork(HalfPrecision(_rewritten(network)), input_).eval()


def _rewritten(network: nn.Module) -> fx.GraphModule:
    network = copy.deepcopy(network).eval()
    traced = fx.GraphModule(network, _GateTracer().trace(network))
    for rewrite in REWRITES:
        rewrite(traced)
    return traced


class _GateTracer(fx.Tracer):
    """Keeps a channel gate as one step, so that a rewrite can see which streams share it."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, ChannelGate) or super().is_leaf_module(m, module_qualified_name)


def fold_batch_norms(traced: fx.GraphModule) -> None:
    """Multiply each batch norm into the convolution or linear layer before it, in float64."""
    modules = dict(traced.named_modules())
    for node in traced.graph.nodes:
        norm = modules.get(str(node.target)) if node.op == "call_module" else None
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        source = node.args[0]
        layer = modules.get(str(source.target)) if source.op == "call_module" else None
        if isinstance(layer, nn.Conv2d | nn.Linear) and len(source.users) == 1:
            traced.add_submodule(str(source.target), _folded(layer, norm))
            node.replace_all_uses_with(source)
            traced.graph.erase_node(node)
    _finish(traced)


def _folded(layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    layer, norm = layer.double(), norm.double()
    folded = fuse_conv_bn_eval(layer, norm) if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval(layer, norm)
    return folded.float()


class StackedGates(nn.Module):
    """One gate for several streams at once: their pooled vectors pass it side by side, as (N, C, streams, 1).

    The gate is a 1x1 convolution pair, so positions do not mix: the same numbers in a quarter of the steps.
    """

    def __init__(self, gate: ChannelGate) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, streams: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        pooled = torch.cat([nn.functional.adaptive_avg_pool2d(x, 1) for x in streams], dim=2)  # (N, C, streams, 1)
        weights = torch.split(self.gate.weights(pooled), 1, dim=2)  # each (N, C, 1, 1)
        return tuple(x * weight for x, weight in zip(streams, weights, strict=True))


def stack_gates(traced: fx.GraphModule) -> None:
    """Call a gate that several streams share once for all of them."""
    modules = dict(traced.named_modules())
    calls: dict[str, list[fx.Node]] = defaultdict(list)
    for node in traced.graph.nodes:
        if node.op == "call_module" and isinstance(modules[str(node.target)], ChannelGate):
            calls[str(node.target)].append(node)
    for target, nodes in calls.items():
        gate = modules[target]
        assert isinstance(gate, ChannelGate)
        traced.add_submodule(target, StackedGates(gate))
        _call_once(traced.graph, target, nodes)
    _finish(traced)


def _call_once(graph: fx.Graph, target: str, nodes: list[fx.Node]) -> None:
    """Replace calls of one module on several values by one call on all of them."""
    with graph.inserting_before(nodes[0]):
        together = graph.call_module(target, (tuple(node.args[0] for node in nodes),))
        for position, node in enumerate(nodes):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (together, position)))
    for node in nodes:
        graph.erase_node(node)


def _finish(traced: fx.GraphModule) -> None:
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()


REWRITES: tuple[Rewrite, ...] = (fold_batch_norms, stack_gates)

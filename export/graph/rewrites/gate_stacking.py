"""*stack*: one gate for several streams at once."""

import operator

import torch
from torch import Tensor, fx, nn

from export.graph.rewrites.graph import finish, gate_calls, module_of
from train.models.osnet import ChannelGate


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
        return tuple(x * weights[index] for index, x in enumerate(streams))


def stack_gates(traced: fx.GraphModule) -> None:
    """Call a gate that several streams share once for all of them."""
    for target, nodes in gate_calls(traced).items():
        gate = module_of(traced, nodes[0])
        assert isinstance(gate, ChannelGate)
        if len(nodes) == 1:
            continue
        traced.add_submodule(target, StackedGates(gate))
        _call_once(traced.graph, target, nodes)
    finish(traced)


def _call_once(graph: fx.Graph, target: str, nodes: list[fx.Node]) -> None:
    """Replace calls of one module on several values by one call on all of them."""
    with graph.inserting_before(nodes[0]):
        together = graph.call_module(target, (tuple(node.args[0] for node in nodes),))
        for position, node in enumerate(nodes):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (together, position)))
    for node in nodes:
        graph.erase_node(node)

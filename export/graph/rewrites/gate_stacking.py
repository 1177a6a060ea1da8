"""*stack*: a gate that several streams share runs once, for all of them."""

import operator

import torch
from torch import Tensor, fx, nn

from export.graph.rewrites.graph import finish, gate_calls, module_of
from train.models.osnet import ChannelGate


class StackedGates(nn.Module):
    """One channel gate on several streams: their pooled vectors go through it as one tensor (N, C, streams, 1).

    The gate consists of 1x1 convolutions, which treat each position separately, so the results are the same.
    """

    def __init__(self, gate: ChannelGate) -> None:
        """gate: the one that the streams share."""
        super().__init__()
        self.gate = gate

    def forward(self, streams: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """streams: each (N, C, H, W). Returns the gated streams, of the same shapes."""
        pooled = torch.cat([nn.functional.adaptive_avg_pool2d(x, 1) for x in streams], dim=2)  # (N, C, streams, 1)
        weights = torch.split(self.gate.weights(pooled), 1, dim=2)  # each (N, C, 1, 1)
        return tuple(x * weights[index] for index, x in enumerate(streams))


def stack_gates(traced: fx.GraphModule) -> None:
    """Replace the calls of each gate by one call for all streams that share it."""
    for target, nodes in gate_calls(traced).items():
        gate = module_of(traced, nodes[0])
        assert isinstance(gate, ChannelGate)
        if len(nodes) == 1:
            continue
        traced.add_submodule(target, StackedGates(gate))
        _call_once(traced.graph, target, nodes=nodes)
    finish(traced)


def _call_once(graph: fx.Graph, target: str, *, nodes: list[fx.Node]) -> None:
    """Replace the calls of one module by one call on all their inputs."""
    with graph.inserting_before(nodes[0]):
        together = graph.call_module(target, (tuple(node.args[0] for node in nodes),))
        for position, node in enumerate(nodes):
            node.replace_all_uses_with(graph.call_function(operator.getitem, (together, position)))
    for node in nodes:
        graph.erase_node(node)

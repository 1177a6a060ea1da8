"""What every rewrite needs: tracing a network, questions about its steps, and a check at the end."""

import copy
import operator
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import fx, nn

from export.graph.rewrites.pixel_steps import Pixels
from train.models.osnet import ChannelGate

Rewrite = Callable[[fx.GraphModule], None]
"""Changes a graph in place; the function that it computes stays the same."""

_ADDITIONS = (operator.add, torch.add)


class _Tracer(fx.Tracer):
    """Keeps some modules as one step each, so that a rewrite can find them."""

    def __init__(self, whole: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self._whole = whole

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in self._whole or isinstance(m, Pixels) or super().is_leaf_module(m, module_qualified_name)


def trace(network: nn.Module) -> fx.GraphModule:
    """A traced copy in eval mode. Each channel gate stays one step, so that rewrites see which streams share it."""
    return _trace(copy.deepcopy(network).eval(), whole=(ChannelGate,))


def trace_steps(traced: fx.GraphModule) -> fx.GraphModule:
    """The same network traced again, with all steps in the graph, those of gates too."""
    return _trace(traced, whole=())


def _trace(network: nn.Module, *, whole: tuple[type[nn.Module], ...]) -> fx.GraphModule:
    return fx.GraphModule(network, _Tracer(whole).trace(network)).eval()


def module_of(traced: fx.GraphModule, node: object) -> nn.Module | None:
    """The module that a step calls; None if it calls none."""
    if not isinstance(node, fx.Node) or node.op != "call_module":
        return None
    return traced.get_submodule(str(node.target))


def source_of(node: fx.Node) -> fx.Node:
    """The step whose result this step reads first."""
    source = node.args[0]
    assert isinstance(source, fx.Node)
    return source


def gate_calls(traced: fx.GraphModule) -> dict[str, list[fx.Node]]:
    """The calls of each channel gate, by the gate's name."""
    calls: dict[str, list[fx.Node]] = defaultdict(list)
    for node in traced.graph.nodes:
        if type(module_of(traced, node)) is ChannelGate:
            calls[str(node.target)].append(node)
    return calls


def is_addition(node: fx.Node) -> bool:
    """Whether a step adds two tensors."""
    return node.op == "call_function" and node.target in _ADDITIONS


def is_relu(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a step is a ReLU: a function, a method or a module."""
    if node.op == "call_function":
        return node.target in (torch.relu, nn.functional.relu)
    return (node.op == "call_method" and node.target == "relu") or isinstance(module_of(traced, node), nn.ReLU)


def finish(traced: fx.GraphModule) -> None:
    """Remove steps and modules that are not used, check the graph, and generate its code."""
    traced.graph.eliminate_dead_code()
    traced.graph.lint()
    traced.delete_all_unused_submodules()
    traced.recompile()

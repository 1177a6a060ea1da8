"""Half precision: float16 weights and arithmetic, but float32 for long sums, which would overflow."""

import operator

import torch
from torch import fx, nn

from export.graph.rewrites.graph import finish, module_of, source_of, trace_steps
from export.graph.rewrites.pixel_steps import Pixels

_SUMS = (nn.functional.adaptive_avg_pool2d, nn.functional.softmax, nn.functional.normalize, torch.mean, torch.softmax)
_SUM_METHODS = ("mean", "softmax", "sum", "norm")
_SUM_MODULES = (nn.AdaptiveAvgPool2d, nn.Softmax)
_NORMS = (nn.InstanceNorm2d, nn.BatchNorm1d, nn.BatchNorm2d)  # a variance may be smaller than float16's smallest number
_PRODUCTS = (operator.matmul, torch.matmul, torch.bmm)
_SMALL_PRODUCTS = (nn.Conv2d, nn.Linear)
_RESHAPES = (torch.flatten, "flatten", "view", "reshape", "squeeze")
_SOFTMAX = ("softmax", torch.softmax, nn.functional.softmax)


def to_half_precision(traced: fx.GraphModule) -> fx.GraphModule:
    """A copy in float16, except the pixels, the descriptors, and every step that adds up many numbers.

    Example: the sum of 2048 values of 32 is 65536, which is too large for float16. A variance or a norm adds up
    squares; the products of an attention go through exp. All these steps run in float32, between two casts.

    The results of convolutions may still overflow to infinity, and become NaN later. Trained networks stay far below
    float16's largest number; with random weights OSNet's ablations reached half of it on black and white images (34,000
    in `full_conv`). Therefore `export/to_onnx.py` measures the activations, and refuses a network above a quarter.
    """
    steps = trace_steps(traced)
    graph = steps.graph
    sums: set[fx.Node] = set()
    for node in list(graph.nodes):
        module = module_of(steps, node)
        if isinstance(module, Pixels):
            _insert_after(graph, node, cast="half")
        elif _adds_up_many(module, node) or (node.target in _RESHAPES and _reads_one_of(sums, node)):
            _run_in_float32(graph, node)
            sums.add(node)
        elif isinstance(module, _SMALL_PRODUCTS) and _reads_one_of(sums, node):
            _run_in_float32(graph, node)
        elif module is not None:
            module.half()
        elif node.op == "get_attr":
            _halve(steps, str(node.target))
        elif node.op == "output":
            [descriptors] = node.all_input_nodes
            _insert_after(graph, descriptors, cast="float")
    _cast_after_joining(graph)
    _drop_round_trips(graph)
    finish(steps)
    return steps


def _adds_up_many(module: nn.Module | None, node: fx.Node) -> bool:
    return (
        isinstance(module, _SUM_MODULES + _NORMS)
        or (node.op == "call_function" and node.target in _SUMS)
        or (node.op == "call_method" and node.target in _SUM_METHODS)
        or (node.target in _PRODUCTS and any(reader.target in _SOFTMAX for reader in node.users))
    )


def _reads_one_of(sums: set[fx.Node], node: fx.Node) -> bool:
    """Whether a step reads a sum, now through a cast.

    There is one number per channel then, as in a gate or before the descriptor, and float32 costs nothing. TensorRT
    casts in the step after it; a cast between a mean and a product would be a kernel of its own.
    """
    return len(node.all_input_nodes) == 1 and _is_cast(source_of(node)) and source_of(source_of(node)) in sums


def _run_in_float32(graph: fx.Graph, node: fx.Node) -> None:
    for source in node.all_input_nodes:
        with graph.inserting_before(node):
            node.replace_input_with(source, graph.call_method("float", (source,)))
    _insert_after(graph, node, cast="half")


def _insert_after(graph: fx.Graph, node: fx.Node, *, cast: str) -> None:
    readers = list(node.users)
    with graph.inserting_after(node):
        converted = graph.call_method(cast, (node,))
    for reader in readers:
        reader.replace_input_with(node, converted)


def _cast_after_joining(graph: fx.Graph) -> None:
    """If all parts of a concatenation are cast to float16, concatenate first: one cast instead of many."""
    for node in list(graph.nodes):
        if node.target is not torch.cat or not all(_is_cast(part) for part in node.all_input_nodes):
            continue
        for part in node.all_input_nodes:
            node.replace_input_with(part, source_of(part))
        _insert_after(graph, node, cast="half")


def _drop_round_trips(graph: fx.Graph) -> None:
    """Let a float32 step read the result of another float32 step directly, without a cast to float16 and back."""
    for node in list(graph.nodes):
        if node.op == "call_method" and node.target == "float" and _is_cast(source_of(node)):
            node.replace_all_uses_with(source_of(source_of(node)))


def _is_cast(node: fx.Node) -> bool:
    return node.op == "call_method" and node.target == "half"


def _halve(traced: fx.GraphModule, name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    value = getattr(traced.get_submodule(owner), attribute)
    if value.is_floating_point():
        value.data = value.data.half()

"""The heads of MGN and Pyramid: pools that share their work, and many small reductions as one convolution."""

import torch
from torch import fx, nn

from export.graph.rewrites.convolutions import is_1x1, join_convolutions
from export.graph.rewrites.graph import finish, is_relu, module_of, source_of

_WHOLE = (1, (1, 1))


def share_maxima(traced: fx.GraphModule) -> None:
    """Compute the maximum of a whole map from the maxima of its stripes, if there are any: the map is read once."""
    for node in traced.graph.nodes:
        pool = module_of(traced, node)
        if not isinstance(pool, nn.AdaptiveMaxPool2d) or pool.output_size not in _WHOLE:
            continue
        maps = source_of(node)
        stripes = [reader for reader in maps.users if reader is not node and _is_striped_maximum(traced, reader)]
        if stripes:
            node.prepend(stripes[0])  # in MGN the stripes are pooled after the whole map
            node.replace_input_with(maps, stripes[0])
    finish(traced)


def _is_striped_maximum(traced: fx.GraphModule, node: fx.Node) -> bool:
    pool = module_of(traced, node)
    return isinstance(pool, nn.AdaptiveMaxPool2d) and pool.output_size not in _WHOLE


def stack_reductions(traced: fx.GraphModule) -> None:
    """Join the 1x1 convolutions of the same shape whose results are concatenated into one grouped convolution.

    Pyramid has 21 of them, on one position each: they take time only because each is a kernel launch.
    """
    for node in list(traced.graph.nodes):
        if node.target is not torch.cat or not isinstance(node.args[0], tuple | list):
            continue
        convs = [_reduction(traced, part) for part in node.args[0]]
        found = [conv for conv in convs if conv is not None]
        if len(found) == len(convs) > 1 and len({_shape(traced, conv) for conv in found}) == 1:
            _stack(traced, node, convs=found)
    finish(traced)


def _reduction(traced: fx.GraphModule, part: object) -> fx.Node | None:
    """The 1x1 convolution that makes a part of the descriptor through ReLU and flatten; None if others read it."""
    for matches in (_is_flatten, lambda node: is_relu(traced, node)):
        if not isinstance(part, fx.Node) or not matches(part) or len(part.users) > 1:
            return None
        part = part.args[0]
    conv = module_of(traced, part)
    is_reduction = isinstance(conv, nn.Conv2d) and is_1x1(conv)
    return part if isinstance(part, fx.Node) and is_reduction and len(part.users) == 1 else None


def _is_flatten(node: fx.Node) -> bool:
    return node.op == "call_method" and node.target == "flatten" and node.args[1:] == (1,)


def _shape(traced: fx.GraphModule, node: fx.Node) -> tuple[int, int, bool]:
    conv = _conv(traced, node)
    return conv.in_channels, conv.out_channels, conv.bias is not None


def _conv(traced: fx.GraphModule, node: fx.Node) -> nn.Conv2d:
    conv = module_of(traced, node)
    assert isinstance(conv, nn.Conv2d)
    return conv


def _stack(traced: fx.GraphModule, descriptor: fx.Node, *, convs: list[fx.Node]) -> None:
    graph, name = traced.graph, f"{str(convs[0].target).replace('.', '_')}_and_{len(convs) - 1}_more"
    traced.add_submodule(name, join_convolutions([_conv(traced, node) for node in convs]))
    with graph.inserting_before(descriptor):
        inputs = graph.call_function(torch.cat, ([source_of(node) for node in convs], 1))
        reduced = graph.call_function(torch.relu, (graph.call_module(name, (inputs,)),))
        descriptor.replace_all_uses_with(graph.call_method("flatten", (reduced, 1)))

"""The groups of layers that are quantised or left in float together, found in the graph and not by layer names."""

from collections.abc import Iterable
from typing import Literal, get_args

import onnx

from calibration.onnx_graph import GraphLinks, is_depthwise_node, weight_shapes

LayerGroup = Literal[
    "stem", "pointwise", "depthwise", "spatial", "gates", "sums", "residuals", "transitions", "descriptor", "heads"
]
LAYER_GROUPS: tuple[LayerGroup, ...] = get_args(LayerGroup)
"""stem: convolutions that read the image, and their max pool. pointwise: 1x1 convolutions. depthwise, spatial: the
other convolutions. gates: channel gates, from their global pools to the products. sums: additions of gated streams.
residuals: other additions. transitions: 2x2 pools and the convolutions that only these pools read. descriptor: the last
pool and the linear layers. heads: a detector's last convolutions, whose results no other layer computes with."""

_POOLS = ("GlobalAveragePool", "ReduceMean")
_FOLLOWERS = ("Relu", "MaxPool")
_AFTER_HEADS = ("Concat", "Flatten", "Reshape", "Sigmoid", "Transpose")


def find_layer_groups(model: onnx.ModelProto) -> dict[LayerGroup, tuple[str, ...]]:
    """Names of the nodes of each group that the network has, in order of execution.

    Nodes in no group are never quantised.
    """
    links, shapes = GraphLinks(model.graph), weight_shapes(model.graph)
    found: dict[str, LayerGroup] = dict(_gates_and_sums(model.graph, links))
    convolved: set[str] = set()  # tensors that come from a convolution
    for node in model.graph.node:
        group = found.get(node.name) or _group_of(node, links=links, shapes=shapes, convolved=convolved, found=found)
        if node.op_type == "Conv" or convolved.intersection(node.input):
            convolved.update(node.output)
        if group:
            found[node.name] = group
    for name in _names_before_transitions(model.graph, links, found=found):
        found[name] = "transitions"
    found.update(dict.fromkeys(_names_of_heads(model.graph, links), "heads"))
    order = [node.name for node in model.graph.node]
    members = {group: tuple(name for name in order if found.get(name) == group) for group in LAYER_GROUPS}
    return {group: names for group, names in members.items() if names}


def _group_of(
    node: onnx.NodeProto,
    *,
    links: GraphLinks,
    shapes: dict[str, tuple[int, ...]],
    convolved: set[str],
    found: dict[str, LayerGroup],
) -> LayerGroup | None:
    if node.op_type in _FOLLOWERS:  # a ReLU or max pool belongs to the layer before it
        return next((found[maker.name] for maker in links.before(node) if maker.name in found), None)
    if node.op_type == "Add":
        return "residuals" if all(name in links.maker for name in node.input) else None
    if node.op_type in ("Gemm", *_POOLS):
        return "descriptor"
    if node.op_type != "Conv" or node.input[1] not in shapes:
        return None
    shape = shapes[node.input[1]]
    if not convolved.intersection(node.input):
        return "stem"
    if shape[2:] == (2, 2):
        return "transitions"
    if shape[2:] == (1, 1):
        return "pointwise"
    return "depthwise" if is_depthwise_node(node, shape) else "spatial"


def _gates_and_sums(graph: onnx.GraphProto, links: GraphLinks) -> Iterable[tuple[str, LayerGroup]]:
    """Names of the nodes of gates, from global pool to products, and of the additions of such products."""
    products: set[str] = set()
    for sigmoid in (node for node in graph.node if node.op_type == "Sigmoid"):
        before = _nodes_back_to_pools(sigmoid, links)
        if not before:
            continue
        after = _nodes_on_to_products(sigmoid, links)
        yield from ((node.name, "gates") for node in (*before, *after))
        products.update(name for node in after if node.op_type == "Mul" for name in node.output)
    for node in graph.node:  # in order of execution, so sums of sums are found too
        if node.op_type == "Split" and node.input[0] in products:
            products.update(node.output)
        if node.op_type == "Add" and all(name in products for name in node.input):
            products.update(node.output)
            yield node.name, "sums"


def _nodes_back_to_pools(sigmoid: onnx.NodeProto, links: GraphLinks) -> list[onnx.NodeProto]:
    """The nodes from a gate's sigmoid back to its global pools; empty if there is no such pool."""
    found, waiting, has_pool = {sigmoid.output[0]: sigmoid}, [sigmoid], False
    while waiting:
        node = waiting.pop()
        if node.op_type in _POOLS:
            has_pool = True
            continue
        if node.op_type == "Mul":  # the sigmoid of a SiLU: its tensor is no gate, however deep the network is
            return []
        new = [maker for maker in links.before(node) if maker.output[0] not in found]
        found.update({maker.output[0]: maker for maker in new})
        waiting += new
    return list(found.values()) if has_pool else []


def _nodes_on_to_products(sigmoid: onnx.NodeProto, links: GraphLinks) -> list[onnx.NodeProto]:
    """The nodes after a gate's sigmoid, up to the multiplications by its result."""
    found: list[onnx.NodeProto] = []
    waiting = [sigmoid]
    while waiting:
        for node in links.after(waiting.pop()):
            found.append(node)
            if node.op_type != "Mul":
                waiting.append(node)
    return found


def _names_before_transitions(
    graph: onnx.GraphProto, links: GraphLinks, *, found: dict[str, LayerGroup]
) -> Iterable[str]:
    """Names of the convolution and the ReLU after it whose result only a 2x2 pool reads."""
    for pool in graph.node:
        if found.get(pool.name) != "transitions" or pool.op_type != "Conv":
            continue
        before = _only_maker(pool, links)
        chain = [before, _only_maker(before, links)] if before and before.op_type == "Relu" else [before]
        if chain[-1] and chain[-1].op_type == "Conv":
            yield from (node.name for node in chain if node)


def _only_maker(node: onnx.NodeProto, links: GraphLinks) -> onnx.NodeProto | None:
    """The only node whose tensor this node reads, if no other node reads that tensor."""
    makers = links.before(node)
    return makers[0] if len(makers) == 1 and len(links.after(makers[0])) == 1 else None


def _names_of_heads(graph: onnx.GraphProto, links: GraphLinks) -> list[str]:
    """Names of the convolutions from which an output is reached without another computation than `_AFTER_HEADS`."""
    found, waiting = [], [output.name for output in graph.output]
    while waiting:
        maker = links.maker.get(waiting.pop())
        if maker is None:
            continue
        if maker.op_type == "Conv":
            found.append(maker.name)
        elif maker.op_type in _AFTER_HEADS:
            waiting += maker.input
    return found

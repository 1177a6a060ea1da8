"""The groups of layers that are quantised, or left in float, together: graph rules that know no layer names."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper

from edge_runtime.contract.errors import ExportError

Group = Literal["stem", "pointwise", "depthwise", "spatial", "gates", "sums", "residuals", "transitions", "descriptor"]
GROUPS: tuple[Group, ...] = get_args(Group)
"""stem: convolutions of the image, and their max pool. pointwise: 1x1. depthwise, spatial: the other convolutions.
gates: channel gates, from their global pools to the products. sums: of gated streams. residuals: other additions.
transitions: 2x2 pools and the convolutions that only they read. descriptor: last pool and linear layers."""

_POOLS = ("GlobalAveragePool", "ReduceMean")
_FOLLOWERS = ("Relu", "MaxPool")


class Links:
    """A graph as its nodes are connected."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.maker: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes whose tensors this one reads."""
        return [self.maker[name] for name in node.input if name in self.maker]

    def after(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that read this one's tensors."""
        return [reader for name in node.output for reader in self.readers[name]]


def layer_groups(model: onnx.ModelProto) -> dict[Group, tuple[str, ...]]:
    """Names of the nodes of each group that the network has, in order of execution; others are never quantised."""
    links, shapes = Links(model.graph), weight_shapes(model.graph)
    found: dict[str, Group] = dict(_gates_and_sums(model.graph, links))
    convolved: set[str] = set()  # tensors that come from a convolution
    for node in model.graph.node:
        group = found.get(node.name) or _group_of(node, links=links, shapes=shapes, convolved=convolved, found=found)
        if node.op_type == "Conv" or convolved.intersection(node.input):
            convolved.update(node.output)
        if group:
            found[node.name] = group
    for name in _before_transitions(model.graph, links, found):
        found[name] = "transitions"
    order = [node.name for node in model.graph.node]
    members = {group: tuple(name for name in order if found.get(name) == group) for group in GROUPS}
    return {group: names for group, names in members.items() if names}


def _group_of(
    node: onnx.NodeProto,
    *,
    links: Links,
    shapes: dict[str, tuple[int, ...]],
    convolved: set[str],
    found: dict[str, Group],
) -> Group | None:
    if node.op_type in _FOLLOWERS:  # they belong to what they follow
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
    return "depthwise" if is_depthwise(node, shape) else "spatial"


def _gates_and_sums(graph: onnx.GraphProto, links: Links) -> Iterable[tuple[str, Group]]:
    """A gate lies between a global pool and the products by a sigmoid; a sum adds up nothing but such products."""
    products: set[str] = set()
    for sigmoid in (node for node in graph.node if node.op_type == "Sigmoid"):
        before = _back_to_pools(sigmoid, links)
        if not before:
            continue
        after = _on_to_products(sigmoid, links)
        yield from ((node.name, "gates") for node in (*before, *after))
        products.update(name for node in after if node.op_type == "Mul" for name in node.output)
    for node in graph.node:  # in order of execution, so sums of sums are found too
        if node.op_type == "Split" and node.input[0] in products:
            products.update(node.output)
        if node.op_type == "Add" and all(name in products for name in node.input):
            products.update(node.output)
            yield node.name, "sums"


def _back_to_pools(sigmoid: onnx.NodeProto, links: Links) -> list[onnx.NodeProto]:
    """From a gate's weights back to the global pools they come from; nothing where there is no such pool."""
    found, waiting, has_pool = [], [sigmoid], False
    while waiting:
        node = waiting.pop()
        found.append(node)
        if node.op_type in _POOLS:
            has_pool = True
        else:
            waiting += links.before(node)
    return found if has_pool else []


def _on_to_products(sigmoid: onnx.NodeProto, links: Links) -> list[onnx.NodeProto]:
    """From a gate's weights on to the multiplications by them."""
    found: list[onnx.NodeProto] = []
    waiting = [sigmoid]
    while waiting:
        for node in links.after(waiting.pop()):
            found.append(node)
            if node.op_type != "Mul":
                waiting.append(node)
    return found


def _before_transitions(graph: onnx.GraphProto, links: Links, found: dict[str, Group]) -> Iterable[str]:
    """The convolution, and the ReLU behind it, that feed a 2x2 pool and nothing else."""
    for pool in graph.node:
        if found.get(pool.name) != "transitions" or pool.op_type != "Conv":
            continue
        before = _only_maker(pool, links)
        chain = [before, _only_maker(before, links)] if before and before.op_type == "Relu" else [before]
        if chain[-1] and chain[-1].op_type == "Conv":
            yield from (node.name for node in chain if node)


def _only_maker(node: onnx.NodeProto, links: Links) -> onnx.NodeProto | None:
    """The one node whose tensor this one reads, if nobody else reads it."""
    makers = links.before(node)
    return makers[0] if len(makers) == 1 and len(links.after(makers[0])) == 1 else None


def weight_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the constants, by name."""
    return {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def group_count(conv: onnx.NodeProto) -> int:
    """In how many groups a convolution works."""
    return next((int(helper.get_attribute_value(a)) for a in conv.attribute if a.name == "group"), 1)


def is_depthwise(conv: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether a convolution works on each channel by itself. shape: that of its weights."""
    return group_count(conv) == shape[0] > 1 and shape[1] == 1


def read_network(path: Path) -> onnx.ModelProto:
    """Read a whole ONNX file.

    Raises:
        ExportError: the file cannot be read, is cut short, or is no network.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}; give the path of an ONNX file") from error
    except DecodeError as error:
        raise ExportError(f"{path} is not a whole ONNX file ({error}); export it again") from error
    if not model.graph.node:
        raise ExportError(f"{path} is not a whole ONNX file (its graph is empty); export it again")
    return model

"""Estimated cost of a deployed graph: its ONNX nodes, and the smallest number of GPU kernels that compute them."""

from collections import defaultdict
from dataclasses import dataclass

import onnx

_MOVES_NO_DATA = frozenset(("Flatten", "Gather", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Unsqueeze"))
_ACTIVATIONS = frozenset(("Clip", "LeakyRelu", "Relu", "Sigmoid", "Tanh"))
_ELEMENTWISE = _ACTIVATIONS | frozenset(
    ("Add", "BatchNormalization", "Cast", "Div", "Mul", "Pow", "Sqrt", "Sub", "Transpose")
)
_SUMS = frozenset(("Conv", "Gemm", "MatMul"))


@dataclass(frozen=True)
class GraphCost:
    """nodes: of the file, without constants and their aliases. kernels: see `count_graph_cost`."""

    nodes: int
    kernels: int


def count_graph_cost(model: onnx.ModelProto) -> GraphCost:
    """Count nodes and GPU kernels of a network. The kernels are an estimate by rules, not a measurement.

    One kernel does everything that builders are known to fuse: a convolution or matrix product with its bias, its
    activation and one addition; a sequence of element-wise steps that no other step reads, with the input's cast and
    change of layout. Slices and reshapes cost nothing; a concatenation, a pooling and an instance norm cost one each.
    """
    nodes = [node for node in model.graph.node if node.op_type not in ("Constant", "Identity")]
    return GraphCost(nodes=len(nodes), kernels=sum(not fuses for fuses in _fusions(nodes)))


def _fusions(nodes: list[onnx.NodeProto]) -> list[bool]:
    """For each node, whether it needs no kernel of its own."""
    readers: dict[str, int] = defaultdict(int)
    for node in nodes:
        for name in node.input:
            readers[name] += 1
    open_kernels: dict[str, str] = {}  # tensor -> kind of the kernel that makes it and can still fuse another step
    fusions = []
    for node in nodes:
        kind = _kind_after(
            node, [open_kernels[name] for name in node.input if readers[name] == 1 and name in open_kernels]
        )
        fusions.append(kind is not None or node.op_type in _MOVES_NO_DATA)
        starts = "sum" if node.op_type in _SUMS else "elementwise" if node.op_type in _ELEMENTWISE else None
        if kind or starts:
            open_kernels[node.output[0]] = kind or starts or ""
    return fusions


def _kind_after(node: onnx.NodeProto, open_kernels: list[str]) -> str | None:
    """Kind of the kernel that makes one of the node's inputs after it was fused with the node; None if it cannot be."""
    if node.op_type not in _ELEMENTWISE or not open_kernels:
        return None
    if "elementwise" in open_kernels:
        return "elementwise"
    if "sum" in open_kernels and node.op_type in _ACTIVATIONS | {"BatchNormalization", "Cast"}:
        return "sum"
    if "sum" in open_kernels and node.op_type == "Add":
        return "added sum"
    return "added sum" if "added sum" in open_kernels and node.op_type in _ACTIVATIONS else None

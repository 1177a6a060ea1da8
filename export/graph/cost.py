"""What a deployed graph costs before anything is timed: ONNX nodes, and the GPU kernels they need at least."""

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
class Cost:
    """nodes: all of the file's but constants and their aliases. kernels: see `cost_of`."""

    nodes: int
    kernels: int


def cost_of(model: onnx.ModelProto) -> Cost:
    """Count nodes and kernels of a file.

    A kernel is one launch of a GPU that fuses all that builders are known to fuse: a convolution or matrix product
    with its bias, its activation and one addition; a run of element-wise steps that nothing else reads, with the
    input's cast and change of layout. Reading a part of a tensor, or its shape anew, costs nothing; a concatenation, a
    pooling and an instance norm cost one each. It is a way of counting, not a measurement.
    """
    nodes = [node for node in model.graph.node if node.op_type not in ("Constant", "Identity")]
    return Cost(nodes=len(nodes), kernels=sum(not fuses for fuses in _fusions(nodes)))


def _fusions(nodes: list[onnx.NodeProto]) -> list[bool]:
    """For each node whether it runs within the kernel of another, or not at all."""
    readers: dict[str, int] = defaultdict(int)
    for node in nodes:
        for name in node.input:
            readers[name] += 1
    open_kernels: dict[str, str] = {}  # tensor -> kind of the kernel that makes it and can still take a step in
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
    """What the kernel that makes one of the node's inputs is once it does this node's work too; None if it cannot."""
    if node.op_type not in _ELEMENTWISE or not open_kernels:
        return None
    if "elementwise" in open_kernels:
        return "elementwise"
    if "sum" in open_kernels and node.op_type in _ACTIVATIONS | {"BatchNormalization", "Cast"}:
        return "sum"
    if "sum" in open_kernels and node.op_type == "Add":
        return "added sum"
    return "added sum" if "added sum" in open_kernels and node.op_type in _ACTIVATIONS else None

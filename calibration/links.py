"""Who makes and who reads each tensor of an ONNX graph."""

from collections import defaultdict

import onnx
from onnx import helper


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


def weight_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the constants, by name."""
    return {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def group_count(conv: onnx.NodeProto) -> int:
    """In how many groups a convolution works."""
    return next((int(helper.get_attribute_value(a)) for a in conv.attribute if a.name == "group"), 1)


def is_depthwise(conv: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether a convolution works on each channel by itself. shape: that of its weights."""
    return group_count(conv) == shape[0] > 1 and shape[1] == 1

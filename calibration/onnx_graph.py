"""An ONNX file as a graph: reading it, following its connections, and the facts about a convolution."""

from collections import defaultdict
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import helper

from edge_runtime.contract.errors import ExportError


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


class GraphLinks:
    """Which node makes each tensor, and which nodes read it.

    maker: tensor name -> the node that makes it; inputs and constants have none. readers: tensor name -> nodes.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        """Index `graph` as it is now; later changes of it are not seen."""
        self.maker: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes whose tensors this node reads."""
        return [self.maker[name] for name in node.input if name in self.maker]

    def after(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """The nodes that read this node's tensors."""
        return [reader for name in node.output for reader in self.readers[name]]


def weight_shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the constants, by name."""
    return {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def group_count(conv: onnx.NodeProto) -> int:
    """The number of groups of a convolution."""
    return next((int(helper.get_attribute_value(a)) for a in conv.attribute if a.name == "group"), 1)


def is_depthwise_node(conv: onnx.NodeProto, shape: tuple[int, ...]) -> bool:
    """Whether a convolution filters each channel separately. shape: that of its weights."""
    return group_count(conv) == shape[0] > 1 and shape[1] == 1

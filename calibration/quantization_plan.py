"""Which steps of a network are quantised: graph rules that know no layer names."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

_POOLS = ("GlobalAveragePool", "ReduceMean")


class _Links:
    """Who makes and who reads each tensor of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.maker: dict[str, onnx.NodeProto] = {name: node for node in graph.node for name in node.output}
        self.readers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self.readers[name].append(node)

    def before(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [self.maker[name] for name in node.input if name in self.maker]

    def after(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        return [reader for name in node.output for reader in self.readers[name]]


def steps_left_in_float(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes of every channel gate and of the sums of gated streams.

    They are a percent of the arithmetic and many of the tensors: quantising them costs accuracy and time. A gate is
    what lies between a global pool and a sigmoid, up to the multiplication by its weights; a sum of streams is an
    addition of nothing but such products.
    """
    links = _Links(model.graph)
    kept: dict[str, None] = {}
    products: set[str] = set()
    for sigmoid in (node for node in model.graph.node if node.op_type == "Sigmoid"):
        kept.update(dict.fromkeys(_walk_back(sigmoid, links)))
        after = _walk_on(sigmoid, links)
        kept.update(dict.fromkeys(node.name for node in after))
        products.update(name for node in after if node.op_type == "Mul" for name in node.output)
    for node in model.graph.node:  # in order of execution, so sums of sums are found too
        if node.op_type == "Add" and all(name in products for name in node.input):
            products.update(node.output)
            kept[node.name] = None
    return list(kept)


def _walk_back(sigmoid: onnx.NodeProto, links: _Links) -> Iterable[str]:
    """From the gate's weights back to the global pools they come from."""
    waiting = [sigmoid]
    while waiting:
        node = waiting.pop()
        yield node.name
        if node.op_type not in _POOLS:
            waiting += links.before(node)


def _walk_on(sigmoid: onnx.NodeProto, links: _Links) -> list[onnx.NodeProto]:
    """From the gate's weights on to the multiplications by them."""
    found: list[onnx.NodeProto] = []
    waiting = [sigmoid]
    while waiting:
        for node in links.after(waiting.pop()):
            found.append(node)
            if node.op_type != "Mul":
                waiting.append(node)
    return found


def mean_pools_to_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with each 2x2 mean pool as a depthwise convolution by 1/4: exact, and fast in INT8.

    Other mean pools stay as they are.
    """
    model = shape_inference.infer_shapes(model, strict_mode=True)
    shapes = {value.name: value.type.tensor_type.shape.dim for value in model.graph.value_info}
    for node in model.graph.node:
        if node.op_type != "AveragePool" or not _is_2x2(node):
            continue
        count = shapes[node.input[0]][1].dim_value
        weights = np.full((count, 1, 2, 2), 0.25, np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, f"{node.name}_weights"))
        node.CopyFrom(
            helper.make_node(
                "Conv",
                [node.input[0], f"{node.name}_weights"],
                list(node.output),
                name=node.name,
                kernel_shape=[2, 2],
                strides=[2, 2],
                group=count,
            )
        )
    return model


def _is_2x2(node: onnx.NodeProto) -> bool:
    values = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return (
        list(values.get("kernel_shape", [])) == list(values.get("strides", [])) == [2, 2]
        and not any(values.get("pads", []))
        and not values.get("ceil_mode", 0)
        and values.get("auto_pad", b"NOTSET") == b"NOTSET"
    )

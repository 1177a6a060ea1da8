"""2x2 mean pools of an ONNX graph as depthwise convolutions, which every INT8 backend runs fast."""

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference


def replace_mean_pool_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace each 2x2 mean pool by a depthwise convolution with weights of 1/4: the same function, fast in INT8.

    Other mean pools stay as they are. Returns the network with inferred shapes.
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

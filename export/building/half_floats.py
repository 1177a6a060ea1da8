"""Float16 for what a quantised network leaves in float, as the newer TensorRT versions take it from the file."""

import onnx
from onnx import version_converter
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

_OPSET = 19  # the first in which quantising takes float16
# They add up many numbers, or squares, or go through exp: see rewrites/half.py.
_IN_FLOAT32 = ("GlobalAveragePool", "ReduceMean", "Softmax", "InstanceNormalization", "BatchNormalization")


def with_half_floats(quantised: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a Q/DQ network whose other steps compute in float16, but for its two ends and long sums.

    ONNX Runtime's optimiser gives wrong results for it on a CPU (1.31); without the optimiser they are right.
    """
    network = version_converter.convert_version(quantised, _OPSET)
    attention = [node.name for node in network.graph.node if node.op_type == "MatMul" and _feeds_softmax(node, network)]
    half = convert_float_to_float16(
        network, keep_io_types=True, op_block_list=list(_IN_FLOAT32), node_block_list=attention
    )
    sorted_ = OnnxModel(half)
    sorted_.topological_sort()  # the casts stand at the end until then
    result: onnx.ModelProto = sorted_.model
    return result


def _feeds_softmax(node: onnx.NodeProto, network: onnx.ModelProto) -> bool:
    return any(reader.op_type == "Softmax" and node.output[0] in reader.input for reader in network.graph.node)

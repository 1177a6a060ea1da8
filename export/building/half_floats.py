"""Half precision for the steps of a quantised network that stay in float, as TensorRT 10 and later need it."""

import onnx
from onnx import version_converter
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

_OPSET = 19  # the first in which QuantizeLinear takes float16
# These operators add up many numbers or squares, or compute exp: see export/graph/rewrites/half.py.
_IN_FLOAT32 = ("GlobalAveragePool", "ReduceMean", "Softmax", "InstanceNormalization", "BatchNormalization")

_AFTER_MEANS = ("Conv", "Gemm", "Flatten")


def with_half_floats(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a Q/DQ network whose steps outside INT8 compute in float16, except its two ends and long sums.

    Do not run it with ONNX Runtime 1.31 on a CPU: its optimiser gives wrong results for such a file.
    """
    network = version_converter.convert_version(quantized, _OPSET)
    nodes = network.graph.node
    attention = [node.name for node in nodes if node.op_type == "MatMul" and _feeds_softmax(node, network)]
    gates = [node.name for node in nodes if node.op_type in _AFTER_MEANS and _reads_a_mean(node, network)]
    half = convert_float_to_float16(
        network, keep_io_types=True, op_block_list=list(_IN_FLOAT32), node_block_list=attention + gates
    )
    _drop_round_trips(half)
    sorted_ = OnnxModel(half)
    sorted_.topological_sort()  # the casts are at the end of the list until then
    result: onnx.ModelProto = sorted_.model
    return result


def _drop_round_trips(network: onnx.ModelProto) -> None:
    """Let a float32 step read the result of another one directly, without a cast to float16 and back."""
    casts = {node.output[0]: node for node in network.graph.node if node.op_type == "Cast"}
    narrow = {name for name, node in casts.items() if node.attribute[0].i == onnx.TensorProto.FLOAT16}
    wide = {name: casts[node.input[0]].input[0] for name, node in casts.items() if node.input[0] in narrow}
    for node in network.graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = wide.get(name, name)


def _feeds_softmax(node: onnx.NodeProto, network: onnx.ModelProto) -> bool:
    return any(reader.op_type == "Softmax" and node.output[0] in reader.input for reader in network.graph.node)


def _reads_a_mean(node: onnx.NodeProto, network: onnx.ModelProto) -> bool:
    """As in a gate or before the descriptor: it takes float32 as the mean gives it, where a cast would be a kernel."""
    maker = next((maker for maker in network.graph.node if node.input[0] in maker.output), None)
    if maker is not None and maker.op_type in ("Flatten", "Reshape", "Squeeze"):
        return _reads_a_mean(maker, network)
    return maker is not None and maker.op_type in ("GlobalAveragePool", "ReduceMean")

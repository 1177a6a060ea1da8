"""A float32 detection network in other precisions: half, and INT8 by the calibration of the networks that describe."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.transformers.float16 import convert_float_to_float16

from calibration.precision_plan import PrecisionPlan
from calibration.quantization import calibrate, quantize_network
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import size_px
from edge_runtime.people.input_fit import fill_input, fit_into
from edge_runtime.people.network_detector import NetworkDetector

_OPSET = 17  # one scale per channel needs 13; this is the newest that TensorRT 8.5 reads


def quantize_detector(
    network: onnx.ModelProto, detector: NetworkDetector, *, frames: Sequence[Nv12], plan: PrecisionPlan
) -> onnx.ModelProto:
    """A float32 network in INT8, with ranges over frames. `network` is not changed; `detector` is the same network.

    Raises:
        ExportError: it is not in float32, takes more than images, or cannot be quantised.
    """
    if len(network.graph.input) != 1:
        raise ExportError(
            f"a network with {len(network.graph.input)} inputs cannot be quantised here; export it with images only"
        )
    if network.graph.input[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT or _is_quantized(network):
        raise ExportError("expected a network in float32, found another precision; give the float32 file")
    current = version_converter.convert_version(network, _OPSET)
    _name_nodes(current)

    def batches() -> Iterator[NDArray[np.float32]]:
        return (input_of(detector, frame) for frame in frames)

    calibrated = calibrate(current, batches, plan=plan)
    return quantize_network(calibrated, activations=plan.activations, kept_in_float=plan.kept_in_float)


def halve_detector(network: onnx.ModelProto) -> onnx.ModelProto:
    """A float32 network in half precision, but for its inputs and outputs. `network` is not changed."""
    current = version_converter.convert_version(network, _OPSET)
    half: onnx.ModelProto = convert_float_to_float16(current, keep_io_types=True)
    return half


def input_of(detector: NetworkDetector, frame: Nv12) -> NDArray[np.float32]:
    """What a frame is to the network: (1, 3, height, width) float32."""
    form, rule = detector.network.form, detector.kind.rule
    planes = np.empty((3, form.height_px, form.width_px), np.float32)
    fit = fit_into(form.height_px, form.width_px, frame_px=size_px(frame), placement=rule.placement)
    fill_input(frame, fit, rule=rule, planes=planes)
    return planes[None]


def _is_quantized(network: onnx.ModelProto) -> bool:
    return any(node.op_type == "DequantizeLinear" for node in network.graph.node)


def _name_nodes(network: onnx.ModelProto) -> None:
    """Layer groups are lists of names, which exporters may leave out."""
    for number, node in enumerate(network.graph.node):
        node.name = node.name or f"node_{number}"

"""Exact and near-exact rewrites of detection networks: a cheaper first layer, and an input of the camera's shape."""

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from calibration.onnx_graph import GraphLinks
from edge_runtime.contract.errors import ExportError

_STRIDE = 32
REFUSALS = (
    shape_inference.InferenceError,
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.RuntimeException,
)
"""What a network whose sizes do not fit ends in."""
_SETTINGS = {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1}


def fold_focus(model: onnx.ModelProto) -> bool:
    """Make YOLOX's first layer one convolution; `model` is changed. Returns whether it has such a layer.

    The layer moves each 2 x 2 pixels into 12 channels by eight strided slices and convolves them 3 x 3: the same as
    6 x 6 on the image with a stride of 2, border included, without the copies. Exact but for the order of sums.
    """
    graph, links = model.graph, GraphLinks(model.graph)
    joined = next((node for node in graph.node if node.op_type == "Concat"), None)
    readers = links.readers[joined.output[0]] if joined else []
    if joined is None or len(readers) != 1 or not _is_plain(readers[0]):
        return False
    first = readers[0]
    weights = next((tensor for tensor in graph.initializer if tensor.name == first.input[1]), None)
    offsets = _offsets(model, joined)
    if weights is None or offsets is None:
        return False
    weights.CopyFrom(numpy_helper.from_array(_spread(numpy_helper.to_array(weights), offsets), weights.name))
    first.input[0] = graph.input[0].name
    del first.attribute[:]
    settings = {"kernel_shape": [6, 6], "strides": [2, 2], "pads": [2, 2, 2, 2]}
    first.attribute.extend(helper.make_attribute(name, value) for name, value in settings.items())
    _drop_unread(graph)
    return True


def fit_input(model: onnx.ModelProto, *, frame_px: tuple[int, int]) -> tuple[int, int]:
    """Make the input as tall and wide as a frame of that shape needs, in steps of 32; `model` is changed.

    A network with a square input computes on grey beside a wide frame: at 16:9 on 44 % of the input. People keep their
    size in pixels. Boxes move a little near the border, where the network now sees the edge instead of grey.

    Returns the input's new height and width.

    Raises:
        ExportError: the graph works at its own size only.
    """
    dims = model.graph.input[0].type.tensor_type.shape.dim
    height_px, width_px = dims[2].dim_value, dims[3].dim_value
    zoom = min(height_px / frame_px[0], width_px / frame_px[1])
    new = [
        min(old, -(-int(size * zoom) // _STRIDE) * _STRIDE)
        for old, size in zip((height_px, width_px), frame_px, strict=True)
    ]
    dims[2].dim_value, dims[3].dim_value = new
    try:
        infer_shapes(model)
        run_once(model, np.zeros((1, 3, *new), np.float32))
    except REFUSALS as error:
        raise ExportError(
            f"the network works only at its own size of {height_px}x{width_px} pixels, not at {new[0]}x{new[1]}: "
            f"{str(error).strip().splitlines()[-1]}; export it without decoding inside, or keep the file"
        ) from error
    return new[0], new[1]


def infer_shapes(model: onnx.ModelProto) -> None:
    """Find the shapes of all tensors anew; `model` is changed.

    Raises:
        onnx.shape_inference.InferenceError: the sizes do not fit.
    """
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    model.CopyFrom(shape_inference.infer_shapes(model, strict_mode=True, data_prop=True))


def _is_plain(node: onnx.NodeProto) -> bool:
    settings = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    return node.op_type == "Conv" and _SETTINGS | settings == _SETTINGS


def _offsets(model: onnx.ModelProto, joined: onnx.NodeProto) -> list[tuple[int, int]] | None:
    """Row and column in each 2 x 2 pixels that each third of the 12 channels holds; None where it is something else.

    Found by running the nodes on an image in which every number is another one.
    """
    part = onnx.ModelProto()
    part.CopyFrom(model)
    del part.graph.output[:]
    part.graph.output.append(helper.make_empty_tensor_value_info(joined.output[0]))
    del part.graph.input[1:]
    _drop_unread(part.graph)
    if any(node.op_type not in ("Slice", "Concat") for node in part.graph.node):
        return None
    shape = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    blocks = run_once(part, image)
    corners = {float(image[0, 0, row, column]): (row, column) for row in (0, 1) for column in (0, 1)}
    offsets = [corners.get(float(blocks[0, 3 * third, 0, 0])) for third in range(4)]
    if blocks.shape[1] != 12 or None in offsets:
        return None
    found = [offset for offset in offsets if offset is not None]
    expected = np.concatenate([image[:, :, row::2, column::2] for row, column in found], axis=1)
    return found if np.array_equal(blocks, expected) else None


def run_once(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first output for some images."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {model.graph.input[0].name: images})[0])


def _spread(weights: NDArray[np.float32], offsets: list[tuple[int, int]]) -> NDArray[np.float32]:
    """(M, 12, 3, 3) on blocks of pixels as (M, 3, 6, 6) on pixels."""
    spread = np.zeros((len(weights), 3, 6, 6), np.float32)
    for third, (row, column) in enumerate(offsets):
        spread[:, :, row::2, column::2] += weights[:, 3 * third : 3 * third + 3]
    return spread


def _drop_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes and constants that no output needs."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    constants = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:]
    del graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)

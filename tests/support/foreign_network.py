"""ONNX files as other toolkits write them, a few kilobytes each; made without torch."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEIGHT_PX, WIDTH_PX, LENGTH, PEOPLE = 32, 16, 12, 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def write_foreign_network(
    path: Path,
    *,
    batch: int | str = 1,
    normalises: bool = False,
    classifies: bool = True,
    opset: int = 17,
    channels_first: bool = True,
    mixes_images: bool = False,
) -> Path:
    """Write a network with an image `images` in and `features` out, whose batch norm and constants are not
    folded, and whose max pool says where it found what it took.

    normalises: it takes 0 to 255 and has ImageNet's mean and deviation inside. classifies: `logits` is a second output.
    mixes_images: it computes with the first axis, as no network may that takes several people at once.
    """
    rng = np.random.default_rng(7)
    shape = [batch, 3, HEIGHT_PX, WIDTH_PX] if channels_first else [batch, HEIGHT_PX, WIDTH_PX, 3]
    weights = {
        "stem_w": rng.standard_normal((8, 3, 3, 3)) / 5,
        "bn_scale": rng.uniform(0.5, 1.5, 8),
        "bn_bias": rng.standard_normal(8),
        "bn_mean": rng.standard_normal(8),
        "bn_var": rng.uniform(0.5, 1.5, 8),
        "last_w": rng.standard_normal((8, 8, 1, 1)) / 3,
        "fc_w": rng.standard_normal((LENGTH, 8)),
        "fc_b": rng.standard_normal(LENGTH),
        "people_w": rng.standard_normal((PEOPLE, LENGTH)),
        "people_b": rng.standard_normal(PEOPLE),
        "mean": 255 * np.reshape(MEAN, (1, 3, 1, 1)),
        "deviation": 255 * np.reshape(STD, (1, 3, 1, 1)),
    }
    first = batch if isinstance(batch, int) else 0
    nodes = [_constant("rows", np.array([first, -1], np.int64)), *_start(channels_first, normalises)]
    nodes += [
        helper.make_node("Conv", ["image", "stem_w"], ["stem"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["stem", "bn_scale", "bn_bias", "bn_mean", "bn_var"], ["bn"]),
        helper.make_node("Relu", ["bn"], ["x"]),
        helper.make_node("MaxPool", ["x"], ["small", "places"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["small", "last_w"], ["last"]),
        helper.make_node("GlobalAveragePool", ["last"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "rows"], ["vector"]),
        helper.make_node("Gemm", ["vector", "fc_w", "fc_b"], ["features0"], transB=1),
        *_end(mixes_images),
    ]
    outputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, [batch, LENGTH])]
    if classifies:
        nodes.append(helper.make_node("Gemm", ["features", "people_w", "people_b"], ["logits"], transB=1))
        outputs.insert(0, helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, PEOPLE]))
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        outputs,
        [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def _constant(name: str, value: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]") -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, name))


def _start(channels_first: bool, normalises: bool) -> list[onnx.NodeProto]:
    planes = "images"
    nodes = []
    if not channels_first:
        planes = "planes"
        nodes.append(helper.make_node("Transpose", ["images"], [planes], perm=[0, 3, 1, 2]))
    if normalises:
        nodes.append(helper.make_node("Sub", [planes, "mean"], ["centred"]))
        nodes.append(helper.make_node("Div", ["centred", "deviation"], ["image"]))
    else:
        nodes.append(helper.make_node("Identity", [planes], ["image"]))
    return nodes


def _end(mixes_images: bool) -> list[onnx.NodeProto]:
    if not mixes_images:
        return [helper.make_node("Identity", ["features0"], ["features"])]
    return [
        helper.make_node("ReduceMean", ["features0"], ["common"], axes=[0], keepdims=1),
        helper.make_node("Add", ["features0", "common"], ["features"]),
    ]

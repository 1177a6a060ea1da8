"""A YOLOX network without the classes that nobody asks for gives the same people."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration.onnx_graph import read_network
from calibration.rewrites.detector_classes import keep_one_class
from calibration.rewrites.detector_input import run_once

CLASSES = 7


def yolox_head(*, is_mixed: bool = False) -> onnx.ModelProto:
    """The end of YOLOX at one scale: boxes, objectness and classes from one tensor, joined, one row per cell.

    is_mixed: a softmax over classes, so that none can be left out.
    """
    rng = np.random.default_rng(0)
    constants, nodes = [], []
    for name, channels in (("box", 4), ("object", 1), ("class", CLASSES)):
        constants.append(numpy_helper.from_array(rng.normal(size=(channels, 3, 1, 1)).astype(np.float32), f"{name}_w"))
        constants.append(numpy_helper.from_array(rng.normal(size=channels).astype(np.float32), f"{name}_b"))
        nodes.append(helper.make_node("Conv", ["images", f"{name}_w", f"{name}_b"], [name], kernel_shape=[1, 1]))
    constants.append(numpy_helper.from_array(np.array([1, 5 + CLASSES, -1]), "rows"))
    last = helper.make_node("Softmax", ["class"], ["scores"], axis=1) if is_mixed else None
    nodes += [
        last or helper.make_node("Sigmoid", ["class"], ["scores"]),
        helper.make_node("Concat", ["box", "object", "scores"], ["joined"], axis=1),
        helper.make_node("Reshape", ["joined", "rows"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["output"], perm=[0, 2, 1]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 8, 8])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 64, 5 + CLASSES])
    graph = helper.make_graph(nodes, "head", [images], [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_the_class_that_is_kept_gives_the_same_numbers() -> None:
    """Boxes and objectness, too; the other classes are gone."""
    model = yolox_head()
    images = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    expected = run_once(model, images)[..., [0, 1, 2, 3, 4, 5 + 2]]
    assert keep_one_class(model, classes=CLASSES, kept=2)
    np.testing.assert_allclose(run_once(model, images), expected, atol=1e-6)


def test_classes_that_depend_on_each_other_stay() -> None:
    """A softmax needs them all: the network is left as it is."""
    model = yolox_head(is_mixed=True)
    before = model.SerializeToString(deterministic=True)
    assert not keep_one_class(model, classes=CLASSES, kept=2)
    assert model.SerializeToString(deterministic=True) == before


@pytest.mark.shared_data
def test_yolox_nano_loses_79_classes(shared_data: Path) -> None:
    """The real network, at three scales."""
    model = read_network(shared_data / "yolox_nano.onnx")
    assert keep_one_class(model, classes=80, kept=0)
    assert [dim.dim_value for dim in model.graph.output[0].type.tensor_type.shape.dim] == [1, 3549, 6]

"""YOLOX's first layer as one convolution, and inputs of another shape."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from calibration.rewrites.detector_input import fit_input, fold_focus
from edge_runtime.contract.errors import ExportError

SIZE = 64
CORNERS = ((0, 0), (1, 0), (0, 1), (1, 1))  # YOLOX's order: rows first


def focus_network(
    *, corners: Sequence[tuple[int, int]] = CORNERS, step: int = 2, cells: Sequence[int] = (1, 4, -1)
) -> onnx.ModelProto:
    """Slices as PyTorch exports them (rows, then columns), a convolution with a bias, and a reshape into cells."""
    nodes, random = [], np.random.default_rng(0)
    constants = {
        "end": np.array([2**31 - 1]),
        "step": np.array([step]),
        "rows": np.array([2]),
        "columns": np.array([3]),
        "weights": random.normal(size=(4, 12, 3, 3)).astype(np.float32),
        "bias": random.normal(size=4).astype(np.float32),
        "cells": np.array(cells),
        **{f"start{number}": np.array([number]) for number in (0, 1)},
    }
    for number, (row, column) in enumerate(corners):
        nodes += [
            helper.make_node("Slice", ["images", f"start{row}", "end", "rows", "step"], [f"half{number}"]),
            helper.make_node("Slice", [f"half{number}", f"start{column}", "end", "columns", "step"], [f"part{number}"]),
        ]
    nodes += [
        helper.make_node("Concat", [f"part{number}" for number in range(4)], ["blocks"], axis=1),
        helper.make_node("Conv", ["blocks", "weights", "bias"], ["first"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Reshape", ["first", "cells"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes,
        "focus",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 4, None])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, images: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"images": images})[0])


@pytest.mark.parametrize(
    "corners",
    [CORNERS, ((0, 0), (0, 1), (1, 0), (1, 1)), ((0, 0), (0, 0), (0, 1), (1, 1))],
    ids=["yolox", "columns first", "one pixel twice"],
)
def test_the_first_layer_becomes_one_convolution_with_the_same_answer(corners: Sequence[tuple[int, int]]) -> None:
    """Border included, in whichever order the pixels of a block are."""
    model, images = focus_network(corners=corners), np.random.default_rng(1).random((1, 3, SIZE, SIZE), np.float32)
    expected = run(model, images)
    assert fold_focus(model)
    assert [node.op_type for node in model.graph.node] == ["Conv", "Reshape"]
    assert {tensor.name for tensor in model.graph.initializer} == {"weights", "bias", "cells"}
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)  # sums in another order


def test_other_first_layers_stay_as_they_are() -> None:
    """A second pass finds nothing, and slices of every third pixel are another layer."""
    model = focus_network()
    assert fold_focus(model)
    for other in (model, focus_network(step=3, corners=((0, 0),) * 4)):
        before = other.SerializeToString()
        assert not fold_focus(other)
        assert other.SerializeToString() == before


@pytest.mark.parametrize(
    ("frame_px", "expected"),
    [
        ((432, 768), (64, 64)),
        ((1080, 1920), (64, 64)),
        ((500, 1000), (32, 64)),
        ((1000, 500), (64, 32)),
        ((9, 9), (64, 64)),
    ],
)
def test_the_input_takes_the_shape_of_the_frame(frame_px: tuple[int, int], expected: tuple[int, int]) -> None:
    """In steps of 32, never larger than before, so that people keep their size in pixels."""
    model = focus_network()
    assert fit_input(model, frame_px=frame_px) == expected
    onnx.checker.check_model(model, full_check=True)
    assert run(model, np.zeros((1, 3, *expected), np.float32)).shape == (1, 4, expected[0] * expected[1] // 4)


def test_a_network_that_works_at_one_size_only_is_refused() -> None:
    """Some exports hold the number of cells as a constant."""
    model = focus_network(cells=(1, 4, 1024))
    with pytest.raises(ExportError, match=r"works only at its own size of 64x64 pixels, not at 32x64: .*; export it"):
        fit_input(model, frame_px=(500, 1000))

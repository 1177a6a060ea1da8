"""INT8 networks by static quantisation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from calibration import select_images
from calibration.image_list import ImageList, digest_images, write_image_list
from calibration.layer_groups import LAYER_GROUPS
from calibration.precision_plan import default_precision_plan, write_precision_plan
from calibration.quantize import main
from calibration.rewrites.mean_pools import replace_mean_pool_nodes
from edge_runtime.contract.errors import ConfigError, DataError, ExportError
from edge_runtime.contract.manifest import hash_file, read_manifest, write_manifest
from edge_runtime.engine.catalog import open_engine
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import (
    HEIGHT_PX,
    WIDTH_PX,
    tiny_graph,
    tiny_manifest,
    write_tiny_network,
)

Quantize = Callable[..., Path]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Colour patterns in Market-1501's layout."""
    return write_market_folder(tmp_path / "patterns")


@pytest.fixture
def quantized(tmp_path: Path, data: Path) -> Quantize:
    """A function that quantises the tiny network through the command and returns the new file."""
    model = write_tiny_network(tmp_path)
    images = tmp_path / "list.json"
    assert select_images.main([str(data), "--output", str(images), "--count", "20"]) == 0

    def quantize(activations: str | None, *options: str, name: str = "int8.onnx", model: Path = model) -> Path:
        output = tmp_path / name
        backend = {"uint8": ["--backend", "onnxruntime"], "int8": ["--backend", "tensorrt"], None: []}[activations]
        common = ["--calibration", str(images), "--data", str(data), *backend]
        assert main([str(model), *common, *options, "--output", str(output)]) == 0
        return output

    return quantize


def _nodes(model: onnx.ModelProto, op_type: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.op_type == op_type]


def _constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_a_mean_pool_as_a_convolution_is_exact() -> None:
    """A quarter is a power of two, so only the order of summation can differ."""
    before, after = tiny_graph(), replace_mean_pool_nodes(tiny_graph())
    assert not _nodes(after, "AveragePool")
    pixels = np.random.default_rng(0).integers(0, 256, (3, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    evaluate = onnx.reference.ReferenceEvaluator
    np.testing.assert_allclose(
        evaluate(after).run(None, {"pixels": pixels})[0], evaluate(before).run(None, {"pixels": pixels})[0], atol=1e-6
    )


@pytest.mark.parametrize("change", [{"kernel_shape": [3, 3]}, {"strides": [1, 1]}, {"pads": [1, 1, 1, 1]}])
def test_other_mean_pools_stay(change: dict[str, list[int]]) -> None:
    """Only non-overlapping 2x2 windows are a plain depthwise convolution by 1/4."""
    model = tiny_graph()
    pool = _nodes(model, "AveragePool")[0]
    settings = {"kernel_shape": [2, 2], "strides": [2, 2]} | change
    pool.CopyFrom(helper.make_node("AveragePool", list(pool.input), list(pool.output), name=pool.name, **settings))
    assert len(_nodes(replace_mean_pool_nodes(model), "AveragePool")) == 1


@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_descriptors_stay_close_to_float32(quantized: Quantize, tmp_path: Path, activations: str) -> None:
    """8 bits are enough for a network calibrated on images of the same kind."""
    pixels = np.random.default_rng(0).integers(60, 200, (8, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    with open_engine(tmp_path / "tiny.onnx") as before, open_engine(quantized(activations)) as after:
        cosines = (before.describe(pixels) * after.describe(pixels)).sum(axis=1)
    assert cosines.min() > 0.99


@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_the_same_inputs_give_the_same_bytes(quantized: Quantize, activations: str) -> None:
    """An engine can be made again and checked by digest."""
    first, second = quantized(activations, name="1.onnx"), quantized(activations, name="2.onnx")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("backend", ["openvino", "tensorrt"])
def test_gates_and_sums_stay_in_float(quantized: Quantize, backend: str) -> None:
    """No quantised tensor enters or leaves a gate's layers or the sum of streams, where they are not wanted in INT8."""
    model = onnx.load(quantized("uint8" if backend == "openvino" else "int8", "--backend", backend))
    touched = {name for node in _nodes(model, "QuantizeLinear") for name in node.input}
    for name in ("a_pooled", "a_gate_in", "a_gate", "a_gated", "b_gated"):
        assert name not in touched


def test_onnx_runtime_gets_steps_that_chain_without_a_gap(quantized: Quantize) -> None:
    """Between the image and the descriptor's layer every tensor is quantised, gates and sums too."""
    model = onnx.load(quantized("uint8"))
    touched = {name for node in _nodes(model, "QuantizeLinear") for name in node.input}
    for name in ("image", "a_pooled", "a_gate", "a_gated", "streams", "block", "half"):
        assert any(found.startswith(name) for found in touched), name
    assert not touched & {"vector", "descriptor"}


def test_groups_are_kept_in_float_by_name(quantized: Quantize) -> None:
    """And the manifest says so."""
    path = quantized("uint8", "--keep-in-float", "stem", "pointwise")
    touched = {name for node in _nodes(onnx.load(path), "QuantizeLinear") for name in node.input}
    assert "image" not in touched
    assert read_manifest(path).build.kept_higher == ("stem", "pointwise")


def test_a_precision_plan_is_taken_from_its_file(quantized: Quantize, tmp_path: Path) -> None:
    """What export/building/sensitivity.py measured is what is done."""
    plan = default_precision_plan("openvino").model_copy(update={"method": "mse", "kept_in_float": ("stem", "gates")})
    write_precision_plan(plan, tmp_path / "plan.json")
    path = quantized(None, "--precision-plan", str(tmp_path / "plan.json"))
    manifest = read_manifest(path)
    assert manifest.build.kept_higher == ("stem", "gates")
    assert manifest.calibration is not None
    assert manifest.calibration.method == "mse, equalised"
    with pytest.raises(ConfigError, match=r"plan\.json states what --method would; leave one or the other out"):
        quantized(None, "--precision-plan", str(tmp_path / "plan.json"), "--method", "max")


def test_a_network_without_anything_in_int8_is_refused(quantized: Quantize) -> None:
    """It would be a float32 network that calls itself INT8."""
    with pytest.raises(ExportError, match=r"nothing is left to quantise with .*stem.* kept in float"):
        quantized("uint8", "--keep-in-float", *LAYER_GROUPS, name="none.onnx")


@pytest.mark.parametrize("method", ["percentile", "entropy", "mse"])
def test_every_rule_for_ranges_gives_a_network_that_works(quantized: Quantize, tmp_path: Path, method: str) -> None:
    """The manifest names the rule."""
    path = quantized("uint8", "--method", method)
    pixels = np.random.default_rng(0).integers(60, 200, (8, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    with open_engine(tmp_path / "tiny.onnx") as before, open_engine(path) as after:
        assert (before.describe(pixels) * after.describe(pixels)).sum(axis=1).min() > 0.98
    calibration = read_manifest(path).calibration
    assert calibration is not None
    assert calibration.method.startswith(method)


@pytest.mark.parametrize("activations", ["uint8", "int8"])
def test_weights_have_one_symmetric_scale_per_channel(quantized: Quantize, activations: str) -> None:
    """One scale for all channels destroys small networks; a zero point would cost a correction per product."""
    model = onnx.load(quantized(activations))
    constants = _constants(model)
    scales = [array for name, array in constants.items() if name.startswith("expand_w") and name.endswith("scale")]
    points = [array for name, array in constants.items() if name.startswith("expand_w") and name.endswith("zero_point")]
    assert [array.shape for array in scales] == [(8,)]
    assert [(array.dtype, array.any()) for array in points] == [(np.dtype(np.int8), False)]


def test_int8_follows_the_rules_of_tensorrt(quantized: Quantize) -> None:
    """Signed everywhere, zero points 0, no integer biases, a Q/DQ pair at each input, none between step and ReLU."""
    model = onnx.load(quantized("int8"))
    constants = _constants(model)
    for node in (*_nodes(model, "QuantizeLinear"), *_nodes(model, "DequantizeLinear")):
        assert constants[node.input[2]].dtype == np.int8
        assert not constants[node.input[2]].any()
    assert not any(tensor.data_type == TensorProto.INT32 for tensor in model.graph.initializer)
    assert len(_nodes(model, "QuantizeLinear")) == len(_nodes(model, "DequantizeLinear"))
    convolution_outputs = {node.output[0] for node in _nodes(model, "Conv")}
    relus = [node for node in _nodes(model, "Relu") if not node.name.startswith("block")]
    assert all(node.input[0] in convolution_outputs for node in relus)


def test_uint8_gives_onnx_runtime_what_it_is_fast_with(quantized: Quantize) -> None:
    """Activations are unsigned, and ReLUs of quantised steps vanish into their range."""
    model = onnx.load(quantized("uint8"))
    constants = _constants(model)
    assert {str(constants[node.input[2]].dtype) for node in _nodes(model, "QuantizeLinear")} == {"uint8"}
    assert not _nodes(model, "Relu")


def test_the_manifest_says_where_the_ranges_came_from(quantized: Quantize, tmp_path: Path) -> None:
    """Calibration, precision and parent can be read years later."""
    manifest = read_manifest(quantized("uint8"))
    assert manifest.build.precision == "int8"
    assert manifest.artefact.parent_sha256 == hash_file(tmp_path / "tiny.onnx")
    assert manifest.calibration is not None
    assert manifest.calibration.image_list_sha256 == hash_file(tmp_path / "list.json")
    assert (manifest.calibration.count, manifest.calibration.split) == (20, "bounding_box_train")


def test_an_int8_network_is_not_quantized_again(quantized: Quantize) -> None:
    """Only float32 can be the parent."""
    model = quantized("uint8")
    with pytest.raises(ExportError, match=r"expected a float32 ONNX file, found .*onnx in int8"):
        quantized("uint8", name="twice.onnx", model=model)


@pytest.mark.parametrize("name", ["nowhere/int8.onnx", "patterns"])
def test_an_output_that_cannot_be_written_is_refused_first(quantized: Quantize, name: str) -> None:
    """Before minutes of calibration: a folder that is missing, or a folder instead of a file."""
    with pytest.raises(ExportError, match="give another --output"):
        quantized("uint8", name=name)


def test_the_float32_network_is_not_overwritten(quantized: Quantize, tmp_path: Path) -> None:
    """It is the parent: without it the loss cannot be measured."""
    before = (tmp_path / "tiny.onnx").read_bytes()
    with pytest.raises(ExportError, match="would replace the float32 one"):
        quantized("uint8", name="tiny.onnx")
    assert (tmp_path / "tiny.onnx").read_bytes() == before


@pytest.mark.parametrize("content", [b"plain text", b"\x08\x08"])
def test_a_file_that_is_no_network_is_refused(quantized: Quantize, tmp_path: Path, content: bytes) -> None:
    """A manifest that was made for the bytes does not make them a network."""
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    write_manifest(tiny_manifest(path), path)
    with pytest.raises(ExportError, match=r"foreign\.onnx is not a whole ONNX file"):
        quantized("uint8", model=path)
    assert not list(tmp_path.glob("int8*"))


def test_no_progress_bar_is_drawn_into_a_log(quantized: Quantize, capsys: pytest.CaptureFixture[str]) -> None:
    """Bars are for terminals."""
    quantized("uint8")
    assert "calibration:" not in capsys.readouterr().err


def test_a_damaged_image_leaves_no_file(quantized: Quantize, data: Path, tmp_path: Path) -> None:
    """A list made from damaged images by other means is found out while reading."""
    quantized("uint8")
    for image in (data / "bounding_box_train").iterdir():
        image.write_bytes(image.read_bytes()[:-100])
    old = ImageList.model_validate_json((tmp_path / "list.json").read_bytes())
    damaged = old.model_copy(update={"images_sha256": digest_images(data, old.images)})
    write_image_list(damaged, tmp_path / "list.json")
    with pytest.raises(DataError, match=r"calibration image .*\.jpg cannot be decoded"):
        quantized("uint8", name="broken.onnx")
    assert not list(tmp_path.glob("broken*"))

"""A network of a few kilobytes with every part that export cares about; made without torch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Input,
    Manifest,
    Part,
    Terms,
    hash_file,
    space_id,
    write_manifest,
)

HEIGHT_PX, WIDTH_PX, CHANNELS, LENGTH = 32, 16, 8, 12


def tiny_graph(*, seed: int = 0, batch: str | int = "batch") -> onnx.ModelProto:
    """Pixels -> stem -> two gated streams, summed -> residual -> mean pool -> descriptor, as OSNet does it."""
    rng = np.random.default_rng(seed)
    constants = _constants(rng)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], name="transpose", perm=[0, 3, 1, 2]),
        helper.make_node("Sub", ["planes", "mean"], ["centred"], name="centre"),
        helper.make_node("Mul", ["centred", "per_std"], ["image"], name="scale"),
        _convolution("stem", "image", "stem_out", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["stem_out"], ["x"], name="stem_relu"),
        *_stream("a"),
        *_stream("b"),
        helper.make_node("Add", ["a_gated", "b_gated"], ["streams"], name="stream_sum"),
        _convolution("expand", "streams", "expanded"),
        helper.make_node("Add", ["expanded", "x"], ["residual"], name="residual_add"),
        helper.make_node("Relu", ["residual"], ["block"], name="block_relu"),
        helper.make_node("AveragePool", ["block"], ["half"], name="mean_pool", kernel_shape=[2, 2], strides=[2, 2]),
        _convolution("last", "half", "last_out"),
        helper.make_node("GlobalAveragePool", ["last_out"], ["pooled"], name="final_pool"),
        helper.make_node("Flatten", ["pooled"], ["vector"], name="flatten"),
        helper.make_node("Gemm", ["vector", "fc_w", "fc_b"], ["descriptor"], name="fc", transB=1),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, HEIGHT_PX, WIDTH_PX, 3])
    descriptor = helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, [batch, LENGTH])
    graph = helper.make_graph(nodes, "tiny", [pixels], [descriptor], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _constants(rng: np.random.Generator) -> list[onnx.TensorProto]:
    def random(*shape: int) -> NDArray[np.float32]:
        return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

    one = (CHANNELS, CHANNELS, 1, 1)
    arrays = {
        "mean": np.full((1, 3, 1, 1), 120, np.float32),
        "per_std": np.full((1, 3, 1, 1), 1 / 58, np.float32),
        "stem_w": random(CHANNELS, 3, 3, 3),
        "fc_w": random(LENGTH, CHANNELS),
        "fc_b": random(LENGTH),
    }
    for name in ("stem", "a", "b", "expand", "last", "gate_a", "gate_b"):
        arrays.setdefault(f"{name}_w", random(*one))
        arrays[f"{name}_b"] = random(CHANNELS)
    return [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def _convolution(name: str, source: str, target: str, *, pads: Sequence[int] = (0, 0, 0, 0)) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, f"{name}_w", f"{name}_b"], [target], name=name, pads=pads)


def _stream(name: str) -> list[onnx.NodeProto]:
    return [
        _convolution(name, "x", f"{name}_out"),
        helper.make_node("Relu", [f"{name}_out"], [f"{name}_relu"], name=f"{name}_relu"),
        helper.make_node("GlobalAveragePool", [f"{name}_relu"], [f"{name}_pooled"], name=f"{name}_pool"),
        _convolution(f"gate_{name}", f"{name}_pooled", f"{name}_gate_in"),
        helper.make_node("Sigmoid", [f"{name}_gate_in"], [f"{name}_gate"], name=f"{name}_sigmoid"),
        helper.make_node("Mul", [f"{name}_relu", f"{name}_gate"], [f"{name}_gated"], name=f"{name}_multiply"),
    ]


def tiny_manifest(path: Path) -> Manifest:
    """The manifest that belongs to a tiny network's file."""
    input_ = Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)
    descriptor = Descriptor(length=LENGTH, parts=(Part(name="global", length=LENGTH),))
    weights = "a" * 64
    return Manifest(
        model_id=f"tiny-patterns-{weights[:8]}",
        architecture="tiny",
        weights_sha256=weights,
        recipe="none",
        commit="0" * 40,
        created="2026-01-01T00:00:00Z",
        space_id=space_id(weights, input_, descriptor=descriptor),
        input=input_,
        descriptor=descriptor,
        artefact=Artefact(kind="onnx", file=path.name, sha256=hash_file(path), opset=17),
        build=Build(backend="onnxruntime", precision="fp32"),
        terms=Terms(weights="Apache-2.0", training_data="none"),
    )


def write_tiny_network(folder: Path, *, seed: int = 0, name: str = "tiny.onnx") -> Path:
    """Write a tiny network and its manifest. Returns the network's path."""
    path = folder / name
    onnx.save(tiny_graph(seed=seed), path)
    write_manifest(tiny_manifest(path), path)
    return path

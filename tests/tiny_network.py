"""A network of a few kilobytes with every part that export cares about, and images to feed it; made without torch."""

from collections.abc import Sequence
from pathlib import Path

import cv2
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
    file_sha256,
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
        space_id=space_id(weights, input_, descriptor),
        input=input_,
        descriptor=descriptor,
        artefact=Artefact(kind="onnx", file=path.name, sha256=file_sha256(path), opset=17),
        build=Build(backend="onnxruntime", precision="fp32"),
        terms=Terms(weights="Apache-2.0", training_data="none"),
    )


def write_tiny_network(folder: Path, *, seed: int = 0, name: str = "tiny.onnx") -> Path:
    """Write a tiny network and its manifest. Returns the network's path."""
    path = folder / name
    onnx.save(tiny_graph(seed=seed), path)
    write_manifest(tiny_manifest(path), path)
    return path


def pattern(identity: int, *, camera: int, copy: int) -> NDArray[np.uint8]:
    """A colour pattern (96, 48, 3) uint8, RGB, that is alike for one identity and a little different per picture."""
    blocks = np.random.default_rng(identity).integers(0, 256, (6, 3, 3)).astype(np.uint8)
    image = cv2.resize(blocks, (48, 96), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    rng = np.random.default_rng([identity, camera, copy])
    noisy = image * rng.uniform(0.8, 1.2) + rng.normal(0, 12, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_market_folder(root: Path, *, train: int = 4, test: int = 6) -> Path:
    """A data set of colour patterns in Market-1501's layout, two cameras; no picture of a person is needed."""
    for identity in range(1, train + test + 1):
        for camera in (1, 2):
            for copy in range(3):
                split = "bounding_box_train" if identity <= train else "bounding_box_test"
                if split == "bounding_box_test" and copy == 0:
                    split = "query"
                path = root / split / f"{identity:04d}_c{camera}s1_{copy:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), cv2.cvtColor(pattern(identity, camera=camera, copy=copy), cv2.COLOR_RGB2BGR))
    return root

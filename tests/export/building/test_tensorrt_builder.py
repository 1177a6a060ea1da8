"""Networks through a real TensorRT parser and builder, in a subprocess, since its module must not stay in this one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge_runtime.contract.errors import ExportError
from edge_runtime.engine.tensorrt.cuda import driver_unavailable
from export.building.half_floats import with_half_floats
from export.building.tensorrt_builder import BatchSizes, build_plan, tensorrt_unavailable
from tests.support.market_folder import write_market_folder
from tests.support.promised_tensorrt import PACKAGES
from tests.support.small_osnet import export_small_osnet
from tests.support.tensorrt_site import ROOT, SiteUnavailableError, bindings_site, environment
from tests.support.tiny_network import write_tiny_network

pytestmark = pytest.mark.timeout(900)  # the first run downloads about 150 MB

BUILD = """
import dataclasses, json, sys
from pathlib import Path
from edge_runtime.contract.script import run
from export.building.tensorrt_builder import BatchSizes, build_plan

def main():
    options = json.loads(sys.argv[1])
    for name in ("onnx_path", "timing_cache"):
        options[name] = Path(options[name]) if options[name] else None
    options["batch"] = BatchSizes(*options["batch"])
    built = dataclasses.asdict(build_plan(**options))
    Path(sys.argv[2]).write_bytes(built.pop("plan"))
    print(json.dumps(built))
    return 0

sys.exit(run(main))
"""
CHANNELS = 16
ONE = BatchSizes(1, 1, 1)


def build(site: Path, path: Path, *, precision: str = "fp32", **changes: Any) -> subprocess.CompletedProcess[str]:
    """Run `build_plan` beside the site's TensorRT; the plan lands beside the network as `*.plan`."""
    options = {"onnx_path": str(path), "precision": precision, "workspace_mib": 256, "timing_cache": None}
    options |= {"batch": [1, 2, 2], **changes}
    return subprocess.run(
        [sys.executable, "-c", BUILD, json.dumps(options), str(path.with_suffix(".plan"))],
        env=environment(site), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence on stderr of a build that was refused."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    sentences = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1, done.stderr
    return sentences[0]


def write_network(path: Path, *, precision: str = "fp32", activation: str = "Relu", batch: str | int = "batch") -> Path:
    """Pixels -> stem -> depthwise convolution with a gate -> mean -> descriptor, in the precision asked for."""
    rng = np.random.default_rng(0)
    number = np.float16 if precision == "fp16" else np.float32
    weights: dict[str, np.ndarray[Any, Any]] = {}
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, inputs: str, output: str, **attributes: Any) -> None:
        nodes.append(helper.make_node(operator, inputs.split(), [output], name=f"make_{output}", **attributes))

    def convolve(source: str, output: str, *shape: int, **attributes: Any) -> None:
        values = rng.normal(0, 0.3, shape)
        if precision == "int8":
            weights[f"{output}_scale"] = (np.abs(values).max(axis=(1, 2, 3)) / 127).astype(np.float32)
            weights[f"{output}_zero"] = np.zeros(shape[0], np.int8)
            weights[f"{output}_q"] = np.rint(values / weights[f"{output}_scale"].reshape(-1, 1, 1, 1)).astype(np.int8)
            add("DequantizeLinear", f"{output}_q {output}_scale {output}_zero", f"{output}_w", axis=0)
            add("QuantizeLinear", f"{source} step zero", f"{output}_in8")
            add("DequantizeLinear", f"{output}_in8 step zero", f"{output}_in")
            source = f"{output}_in"
        else:
            weights[f"{output}_w"] = values.astype(number)
        add("Conv", f"{source} {output}_w", output, **attributes)

    weights |= {"mean": np.full((1, 3, 1, 1), 120, np.float32), "per_std": np.full((1, 3, 1, 1), 0.02, np.float32)}
    weights |= {"step": np.float32(0.05).reshape(()), "zero": np.int8(0).reshape(())} if precision == "int8" else {}
    add("Cast", "pixels", "floats", to=TensorProto.FLOAT)
    add("Transpose", "floats", "planes", perm=[0, 3, 1, 2])
    add("Sub", "planes mean", "centred")
    add("Mul", "centred per_std", "scaled")
    add("Cast", "scaled", "image", to=helper.np_dtype_to_tensor_dtype(np.dtype(number)))
    convolve("image", "stem", CHANNELS, 3, 3, 3, pads=[1, 1, 1, 1])
    add(activation, "stem", "x")
    convolve("x", "depthwise", CHANNELS, 1, 3, 3, pads=[1, 1, 1, 1], group=CHANNELS)
    add("GlobalAveragePool", "depthwise", "pooled")
    convolve("pooled", "gate_in", CHANNELS, CHANNELS, 1, 1)
    add("Sigmoid", "gate_in", "gate")
    add("Mul", "depthwise gate", "gated")
    add("GlobalAveragePool", "gated", "last")
    add("Flatten", "last", "vector")
    add("Cast", "vector", "descriptor", to=TensorProto.FLOAT)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, [batch, 32, 16, 3])],
        [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, [batch, CHANNELS])],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def quantize(path: Path, *, activations: str) -> Path:
    """Quantise a network as a user does, with colour patterns to find ranges with."""
    data, images, quantized = path.parent / "patterns", path.parent / "list.json", path.with_name("int8.onnx")
    write_market_folder(data)
    select = ["calibration/select_images.py", str(data), "--output", str(images), "--count", "8"]
    backend = {"uint8": "onnxruntime", "int8": "tensorrt"}[activations]
    options = ["--calibration", str(images), "--data", str(data), "--backend", backend]
    for command in (select, ["calibration/quantize.py", str(path), "--output", str(quantized), *options]):
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, timeout=120)
    return quantized


@pytest.fixture(scope="module", params=["osnet_x0_25", "osnet_ain_x0_25"])
def osnet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `osnet.onnx` and `osnet_fp16.onnx`, exported as a user exports them, from random weights."""
    import torch

    from train.models import catalog

    folder: Path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    torch.save(catalog.build(request.param, classes=2).state_dict(), folder / "osnet.pth")
    facts = ["--architecture", request.param, "--data-set", "none", "--licence", "none", "--height", "64"]
    command = [sys.executable, "export/to_onnx.py", str(folder / "osnet.pth"), "--output", str(folder), "--half"]
    subprocess.run([*command, *facts, "--width", "32"], cwd=ROOT, check=True, timeout=300)
    return folder


@pytest.mark.parametrize(("name", "precision"), [("osnet.onnx", "fp32"), ("osnet_fp16.onnx", "fp16")])
def test_an_exported_osnet_builds(tensorrt_site: Path, osnet: Path, name: str, precision: str) -> None:
    """What export/to_onnx.py writes passes TensorRT's parser and builder, instance norms too."""
    done = build(tensorrt_site, osnet / name, precision=precision)
    assert done.returncode == 0, done.stderr


def test_a_quantized_osnet_builds(tensorrt_site: Path, osnet: Path) -> None:
    """What calibration/quantize.py writes for TensorRT passes its parser and builder."""
    path = quantize(osnet / "osnet.onnx", activations="int8")
    done = build(tensorrt_site, path, precision="int8")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_network_of_each_precision_builds(tensorrt_site: Path, tmp_path: Path, precision: str) -> None:
    """A file in float32, half precision or with Q/DQ nodes passes parser and builder as it is."""
    path = write_network(tmp_path / "small.onnx", precision=precision)
    done = build(tensorrt_site, path, precision=precision)
    assert done.returncode == 0, done.stderr
    built = json.loads(done.stdout)
    assert built["tensorrt"].startswith("11.")
    assert path.with_suffix(".plan").stat().st_size > 1000
    if driver_unavailable():
        assert built["gpu"] is None


def test_a_second_build_uses_the_timing_cache_of_the_first(tensorrt_site: Path, tmp_path: Path) -> None:
    """The timing cache is written whole, and accepted by the next build; one that is damaged is replaced."""
    path, cache = write_network(tmp_path / "small.onnx"), tmp_path / "timing.cache"
    for _ in range(2):
        assert build(tensorrt_site, path, timing_cache=str(cache)).returncode == 0
        assert cache.stat().st_size > 0
    cache.write_bytes(b"damaged")
    done = build(tensorrt_site, path, timing_cache=str(cache))
    assert done.returncode == 0, done.stderr
    assert cache.read_bytes() != b"damaged"


def test_an_unknown_operator_is_named(tensorrt_site: Path, tmp_path: Path) -> None:
    """The sentence names operator and node, so that the user knows what to replace."""
    path = write_network(tmp_path / "small.onnx", activation="Swirl")
    said = sentence(build(tensorrt_site, path))
    assert "operator Swirl (node 'make_x')" in said
    assert str(path) in said


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: float) -> None:
    """A file cut off anywhere ends in one sentence, before TensorRT is needed."""
    path = write_network(tmp_path / "small.onnx")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ExportError, match=r"small\.onnx is not a whole ONNX file .*; export it again"):
        build_plan(path, precision="fp32", batch=ONE, workspace_mib=64)


@pytest.mark.parametrize(("held", "asked"), [("fp32", "fp16"), ("fp32", "int8"), ("fp16", "fp32"), ("int8", "fp16")])
def test_precision_comes_from_the_file(tmp_path: Path, held: str, asked: Any) -> None:
    """A file of another precision is refused, never converted in silence."""
    path = write_network(tmp_path / "small.onnx", precision=held)
    with pytest.raises(ExportError, match=f"holds a network in {held}, but {asked} was asked for"):
        build_plan(path, precision=asked, batch=ONE, workspace_mib=64)


def test_a_network_quantized_for_onnx_runtime_is_refused(tmp_path: Path) -> None:
    """Activations in uint8 are not for TensorRT; the sentence says how to quantise instead."""
    path = quantize(write_tiny_network(tmp_path), activations="uint8")
    with pytest.raises(ExportError, match=r"quantised for ONNX Runtime .*quantize\.py --backend tensorrt"):
        build_plan(path, precision="int8", batch=ONE, workspace_mib=64)


def test_batch_sizes_must_be_in_order() -> None:
    """1 <= min <= opt <= max, so nothing is ever built for others."""
    with pytest.raises(ExportError, match="found 1, 9, 8"):
        BatchSizes(1, 9, 8)


def test_a_fixed_batch_is_refused(tensorrt_site: Path, tmp_path: Path) -> None:
    """An engine with a range of batch sizes cannot come from a file with one size."""
    path = write_network(tmp_path / "small.onnx", batch=1)
    assert "only the batch is dynamic, found {'pixels': (1, 32, 16, 3)}" in sentence(build(tensorrt_site, path))


def test_without_tensorrt_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    """A machine without TensorRT or a driver gets a reason for `--backend auto`, and an error from a build."""
    hidden = "import sys; sys.modules['tensorrt'] = None\n"
    path = write_network(tmp_path / "small.onnx")
    options = {"onnx_path": str(path), "precision": "fp32", "batch": [1, 1, 1], "workspace_mib": 64}
    options |= {"timing_cache": None}
    done = subprocess.run(
        [sys.executable, "-c", hidden + BUILD, json.dumps(options), "never.plan"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "--backend onnxruntime" in sentence(done)
    asked = hidden + "from export.building.tensorrt_builder import tensorrt_unavailable; print(tensorrt_unavailable())"
    command = [sys.executable, "-c", asked]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "TensorRT cannot be imported" in said


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="this machine has an NVIDIA driver")
@pytest.mark.parametrize("package", PACKAGES.values())
def test_each_version_says_that_it_cannot_start(tmp_path: Path, package: str) -> None:
    """Where the builder of a TensorRT comes out as nothing, a sentence says why: no driver."""
    try:
        site = bindings_site(package)
    except SiteUnavailableError as reason:
        pytest.skip(str(reason))
    said = sentence(build(site, write_network(tmp_path / "small.onnx")))
    assert f"TensorRT {package.split('==')[1]} cannot start: TensorRT needs an NVIDIA GPU and its driver" in said
    assert said.endswith("build on the device, or with --backend onnxruntime")


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="this machine has an NVIDIA driver")
def test_without_a_driver_tensorrt_is_unavailable(tensorrt_site: Path) -> None:
    """A TensorRT that imports is of no use where there is no driver, and the reason says so."""
    asked = "from export.building.tensorrt_builder import tensorrt_unavailable; print(tensorrt_unavailable())"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=environment(tensorrt_site), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "TensorRT needs an NVIDIA GPU and its driver" in done.stdout
    assert tensorrt_unavailable() is not None


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A small OSNet whose convolutions are in INT8, for TensorRT."""
    return onnx.load(quantize(export_small_osnet(tmp_path_factory.mktemp("half")), activations="int8"))


def types_of(network: onnx.ModelProto) -> dict[str, int]:
    """The element type of every tensor."""
    inferred = onnx.shape_inference.infer_shapes(network, strict_mode=True).graph
    values = (*inferred.value_info, *inferred.input, *inferred.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def descriptors(network: onnx.ModelProto, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Raw descriptors, step by step as the file says."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(network.SerializeToString(), options)
    [found] = session.run(None, {session.get_inputs()[0].name: crops})
    return np.asarray(found, np.float32)


def test_steps_in_float_are_halved_but_for_the_ends_and_long_sums(quantized: onnx.ModelProto) -> None:
    """A mean over many positions is added up before it is divided, which float16 does not hold."""
    half = with_half_floats(quantized)
    types = types_of(half)
    assert types[half.graph.output[0].name] == onnx.TensorProto.FLOAT
    for node in half.graph.node:
        expected = onnx.TensorProto.FLOAT if node.op_type in ("GlobalAveragePool", "ReduceMean") else None
        if node.op_type in ("Conv", "DequantizeLinear", "Add", "Mul"):
            expected = onnx.TensorProto.FLOAT16
        if expected is not None and node.output[0] in types:
            assert types[node.output[0]] == expected, node.name
    assert "GlobalAveragePool" in {node.op_type for node in half.graph.node}


def test_descriptors_stay(quantized: onnx.ModelProto) -> None:
    """Float16 moves them less than quantising did."""
    spec = quantized.graph.input[0].type.tensor_type.shape.dim
    crops = np.random.default_rng(0).integers(0, 256, (4, *(axis.dim_value for axis in spec[1:])), dtype=np.uint8)
    before, after = (descriptors(network, crops) for network in (quantized, with_half_floats(quantized)))
    cosines = (before * after).sum(axis=1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert cosines.min() > 0.995
    assert cosines.min() < 1 - 1e-9

"""The choice of what runs a detection network."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build, Precision
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.network_backends import NETWORK_BACKENDS, has_bf16, open_network
from tests.support.detector_forms import FORMS, write_constant_network


@pytest.mark.parametrize("backend", [name for name in NETWORK_BACKENDS if name != "tensorrt"])
def test_every_backend_says_what_it_is(backend: str, tmp_path: Path) -> None:
    """Its name, its version and the processor, for the log."""
    file = read_detector_file(write_constant_network(tmp_path / "a.onnx", FORMS["yolox"].outputs()))
    name, version, processor, *_ = NETWORK_BACKENDS[backend](file, None, threads=1).backend.split()
    assert (name, processor) == (backend, "CPU")
    assert version[0].isdigit()


def test_bfloat16_is_read_from_the_system(tmp_path: Path) -> None:
    """By the flags of the first processor; where there are none, as on ARM, nothing is promised."""
    cpuinfo = tmp_path / "cpuinfo"
    for flags, expected in (("fpu avx512_bf16 sha", True), ("fpu amx_bf16", True), ("fpu avx512f", False)):
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\nprocessor\t: 1\nflags\t\t: fpu\n")
        assert has_bf16(cpuinfo) == expected
    cpuinfo.write_text("processor\t: 0\nFeatures\t: fp asimd bf16\n")
    assert not has_bf16(cpuinfo)
    assert not has_bf16(tmp_path / "none")


def test_openvino_is_taken_where_the_cpu_has_bfloat16(tmp_path: Path) -> None:
    """Elsewhere, and where it is not installed, ONNX Runtime."""
    file = read_detector_file(write_constant_network(tmp_path / "a.onnx", FORMS["yolox"].outputs()))
    expected = "openvino" if has_bf16() and find_spec("openvino") else "onnxruntime"
    assert open_network(file).backend.split()[0] == expected


def test_a_plan_needs_a_manifest(tmp_path: Path) -> None:
    """TensorRT runs what was built for it on this device, and nothing else."""
    file = read_detector_file(write_constant_network(tmp_path / "a.onnx", FORMS["yolox"].outputs()))
    with pytest.raises(EngineError, match=r"a\.onnx was not built for TensorRT: expected an engine of"):
        open_network(file, backend="tensorrt")
    alone = replace(file, path=tmp_path / "b.engine")
    with pytest.raises(EngineError, match=r"expected an engine .* and its manifest beside it"):
        open_network(alone)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_openvino_computes_in_the_precision_of_the_build(precision: Precision, tmp_path: Path) -> None:
    """What was built for bfloat16 is refused where the CPU does not have it, instead of run in another precision."""
    if find_spec("openvino") is None:
        pytest.fail("OpenVINO is part of the test environment")
    file = read_detector_file(write_constant_network(tmp_path / "a.onnx", FORMS["yolox"].outputs()))
    build = Build(backend="openvino", precision=precision)
    if precision == "bf16" and not has_bf16():
        with pytest.raises(EngineError, match="this CPU does not compute in bfloat16"):
            open_network(file, build=build)
        return
    expected = {"fp32": "f32"}.get(precision, precision)
    assert open_network(file, build=build).backend.split()[-1] == expected

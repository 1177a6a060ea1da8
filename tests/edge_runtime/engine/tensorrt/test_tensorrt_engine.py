"""TensorRT plans: refused in one sentence wherever they cannot run, and run where there is a GPU."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build, Manifest, hash_file, write_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.tensorrt.cuda import Device, driver_unavailable
from edge_runtime.engine.tensorrt.tensorrt_engine import check_versions
from tests.support.promised_tensorrt import PACKAGES
from tests.support.tensorrt_site import ROOT, SiteUnavailableError, bindings_site, environment
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, tiny_manifest, write_tiny_network

ORIN = Device(gpu="Orin", compute_capability="8.7", cuda="12.6", l4t="36.4.3")
OPEN = """
import sys
from pathlib import Path
from edge_runtime.contract.script import run
from edge_runtime.engine.catalog import open_engine

def main():
    open_engine(Path(sys.argv[1]))
    return 0

sys.exit(run(main))
"""


def plan_manifest(path: Path, *, tensorrt: str = "10.3.0", device: Device = ORIN) -> Manifest:
    """The manifest of a plan of the tiny network."""
    manifest = tiny_manifest(path)
    artefact = manifest.artefact.model_copy(update={"kind": "engine", "sha256": hash_file(path)})
    build = Build(backend="tensorrt", precision="fp32", tensorrt=tensorrt, **vars(device))
    return manifest.model_copy(update={"artefact": artefact, "build": build})


def write_plan(folder: Path, *, tensorrt: str = "10.3.0") -> Path:
    """A file that its manifest calls a plan."""
    path = folder / "tiny.engine"
    path.write_bytes(b"no plan")
    write_manifest(plan_manifest(path, tensorrt=tensorrt), path)
    return path


def test_a_plan_of_this_device_is_accepted(tmp_path: Path) -> None:
    """Same TensorRT, GPU and compute capability: nothing to say, and a version is numbers, not letters."""
    manifest = plan_manifest(write_plan(tmp_path))
    check_versions(manifest, tensorrt_version="10.3.0", device=ORIN)
    check_versions(manifest, tensorrt_version="10.03.0", device=None)


def test_all_that_disagrees_is_said_at_once(tmp_path: Path) -> None:
    """TensorRT, GPU and compute capability are each named with what was expected and what was found."""
    manifest = plan_manifest(write_plan(tmp_path))
    other = Device(gpu="Thor", compute_capability="11.0", cuda="13.0", l4t=None)
    with pytest.raises(EngineError) as raised:
        check_versions(manifest, tensorrt_version="10.16.1", device=other)
    said = str(raised.value)
    assert "TensorRT 10.3.0, but this device has 10.16.1" in said
    assert "the GPU Orin, but this device has Thor" in said
    assert "compute capability 8.7, but this device has 11.0" in said
    assert said.endswith("build it again on this device with export/build_engine.py")


def test_a_build_without_a_gpu_cannot_run(tmp_path: Path) -> None:
    """A manifest that names no GPU fits no GPU."""
    manifest = plan_manifest(write_plan(tmp_path))
    nowhere = manifest.model_copy(update={"build": Build(backend="tensorrt", precision="fp32", tensorrt="10.3.0")})
    with pytest.raises(EngineError, match="the GPU None, but this device has Orin"):
        check_versions(nowhere, tensorrt_version="10.3.0", device=ORIN)


def test_without_tensorrt_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the module gets what to install, not an ImportError."""
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(EngineError, match=r"TensorRT cannot be imported .* run an ONNX file with ONNX Runtime instead"):
        open_engine(write_plan(tmp_path))


@pytest.mark.parametrize("package", [package for name, package in PACKAGES.items() if name in ("8.6", "10.3")])
def test_a_plan_ends_in_one_sentence_on_a_machine_without_a_driver(tmp_path: Path, package: str) -> None:
    """Another TensorRT is told first, then the missing driver; the process neither crashes nor prints a traceback."""
    try:
        site = bindings_site(package)
    except SiteUnavailableError as reason:  # no bindings for it, or no network; `make test` takes no such skip
        pytest.skip(str(reason))
    version = package.partition("==")[2]
    expected = {"8.5.3.1": f"was built for TensorRT 8.5.3.1, but this device has {version}"}
    if driver_unavailable():
        expected[version] = "libcuda.so.1 was not found on this machine; run its ONNX file with ONNX Runtime instead"
    for built_with, sentence in expected.items():
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(write_plan(tmp_path, tensorrt=built_with))],
            env=environment(site), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert sentence in done.stderr


@pytest.mark.gpu
def test_a_plan_gives_the_descriptors_of_its_onnx_file(tmp_path: Path) -> None:
    """Built and run on this GPU, any number of crops gives what ONNX Runtime gives."""
    if reason := driver_unavailable():
        pytest.skip(f"needs an NVIDIA driver: {reason}")
    from export.building.tensorrt_builder import BatchSizes, build_plan

    network = write_tiny_network(tmp_path)
    built = build_plan(network, precision="fp32", batch=BatchSizes(1, 8, 32), workspace_mib=256)
    assert built.gpu
    assert built.compute_capability
    assert built.cuda
    device = Device(built.gpu, built.compute_capability, built.cuda, built.l4t)
    path = tmp_path / "tiny.engine"
    path.write_bytes(built.plan)
    write_manifest(plan_manifest(path, tensorrt=built.tensorrt, device=device), path)
    crops = np.random.default_rng(0).integers(0, 256, (33, HEIGHT_PX, WIDTH_PX, 3)).astype(np.uint8)
    with open_engine(path) as engine, open_engine(network) as reference:
        for count in (0, 1, 8, 33):
            found, expected = engine.describe(crops[:count]), reference.describe(crops[:count])
            # TF32 keeps 10 bits of each factor: differences near 1e-3 of a unit vector are rounding.
            np.testing.assert_allclose(found, expected, atol=5e-3)

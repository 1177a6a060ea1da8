"""Every kind of detection network through a real TensorRT parser and builder, without a GPU."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from calibration.onnx_graph import read_network
from calibration.precision_plan import DETECTOR_PLANS
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.catalog import DetectorSettings, open_detector
from edge_runtime.people.network_detector import NetworkDetector
from edge_runtime.people.network_kinds import KINDS
from export.building.detector_networks import halve_detector, quantize_detector
from tests.support.detector_forms import FORMS, write_constant_network
from tests.support.tensorrt_site import ROOT, environment

pytestmark = pytest.mark.timeout(900)  # the first run downloads about 150 MB

BUILD_ALL = """
import sys
from pathlib import Path
from export.building.tensorrt_builder import build_plan

for path in map(Path, sys.argv[1:]):
    precision = path.stem.rpartition("-")[2]
    build_plan(path, precision=precision, batch=None, workspace_mib=256)
    print(path.name)
"""


def built(site: Path, paths: list[Path]) -> list[str]:
    """Names of the files that became plans."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD_ALL, *map(str, paths)],
        env=environment(site), cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Exception" not in done.stderr, "what TensorRT calls of ours does not raise"
    return done.stdout.split()


def test_every_kind_builds_in_float32_and_half_precision(tensorrt_site: Path, tmp_path: Path) -> None:
    """Its outer form: all inputs and outputs, with types as the engine takes them."""
    paths = []
    for kind in KINDS:
        form = FORMS[kind.name]
        paths.append(write_constant_network(tmp_path / f"{kind.name}-fp32.onnx", form.outputs(), inputs=form.inputs))
        half = paths[-1].with_name(f"{kind.name}-fp16.onnx")
        onnx.save(halve_detector(read_network(paths[-1])), half)
        paths.append(half)
    assert built(tensorrt_site, paths) == [path.name for path in paths]


@pytest.mark.shared_data
def test_yolox_builds_in_half_precision_and_int8(tensorrt_site: Path, shared_data: Path, tmp_path: Path) -> None:
    """The real network, quantised on noise; its int8 file has float only where it is kept."""
    network = read_network(shared_data / "yolox_nano.onnx")
    detector = open_detector(DetectorSettings(shared_data / "yolox_nano.onnx", backend="onnxruntime"))
    assert isinstance(detector, NetworkDetector)
    random = np.random.default_rng(0)
    planes = np.asarray(cv2.GaussianBlur(random.uniform(0, 255, (416, 416)).astype(np.uint8), (9, 9), 0), np.uint8)
    frame = Nv12(planes, np.ascontiguousarray(np.stack([planes[::2, ::2]] * 2, axis=-1)))
    plan = next(plan for plan in DETECTOR_PLANS if plan.backend == "tensorrt")
    int8 = quantize_detector(network, detector, frames=[frame], plan=plan)
    paths = [tmp_path / "yolox-fp16.onnx", tmp_path / "yolox-int8.onnx"]
    for path, one in zip(paths, (halve_detector(network), int8), strict=True):
        onnx.save(one, path)
    assert built(tensorrt_site, paths) == [path.name for path in paths]


def test_free_sizes_are_refused(tensorrt_site: Path, tmp_path: Path) -> None:
    """A plan without profiles has one size."""
    path = write_constant_network(tmp_path / "free-fp32.onnx", FORMS["yolox"].outputs(), size=("h", "w"))
    with pytest.raises(AssertionError, match="expected inputs of fixed sizes"):
        built(tensorrt_site, [path])

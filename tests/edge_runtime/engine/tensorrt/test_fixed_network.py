"""A detector's plan on a driver and a TensorRT of ours that run on the CPU: from its manifest to people."""

import ctypes
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.contract.errors import DeviceError, EngineError
from edge_runtime.contract.manifest import Build
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.engine.tensorrt.cuda import read_device
from edge_runtime.engine.tensorrt.fixed_network import FixedNetwork
from edge_runtime.engine.tensorrt.library import tensorrt_log
from edge_runtime.people.catalog import DetectorSettings, open_detector, runs_on_gpu
from edge_runtime.people.detector import detect_all, frames_at_once
from edge_runtime.people.detector_file import read_detector_file
from edge_runtime.people.detector_manifest import DetectorManifest, MeasuredLook, write_detector_manifest
from edge_runtime.people.device_input import place_on_device
from edge_runtime.people.input_fit import InputRule, fill_input, fit_into
from edge_runtime.people.network_detector import NetworkDetector
from tests.support.detector_forms import BOXES, FORMS, SCORES, SIZE_PX
from tests.support.tensorrt_on_cpu import FixedPlan, tensorrt_module


@pytest.fixture
def plan(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> FixedPlan:
    """YOLO's outer form, decoded, without overlaps: its outputs show two people."""
    [rows] = FORMS["yolo-end2end"].outputs()
    plan = FixedPlan((1, 3, SIZE_PX, SIZE_PX), {"rows": rows[None]})
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_module(plan, driver))
    tensorrt_log.cache_clear()
    return plan


def write_plan(folder: Path, **changes: object) -> Path:
    """A file that its manifest calls a plan of this device."""
    path = folder / "end2end.engine"
    path.write_bytes(b"plan")
    build = Build(backend="tensorrt", precision="fp16", tensorrt="10.3.0", **vars(read_device()))
    manifest = DetectorManifest(
        file=path.name,
        sha256=read_detector_file(path).sha256,
        kind="yolo-end2end",
        person_class=0,
        measured=MeasuredLook(look_ms=1.0, backend="tensorrt", cpu="none"),
        created="2026-01-01T00:00:00Z",
        build=build.model_copy(update=changes),
    )
    write_detector_manifest(path, manifest)
    return path


def test_the_daemons_detector_runs_a_plan(tmp_path: Path, plan: FixedPlan) -> None:
    """The manifest names backend and kind; a black frame of the network's size shows the plan's two people."""
    detector = open_detector(DetectorSettings(write_plan(tmp_path)))
    found = detector.detect(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8))
    assert detector.network.backend == "tensorrt 10.3.0 CPU fp16"  # type: ignore[attr-defined]
    assert runs_on_gpu(detector), "so the daemon opens it once"
    np.testing.assert_allclose([one.box for one in found], BOXES, atol=1e-3)
    np.testing.assert_allclose([one.score for one in found], SCORES, atol=1e-3)
    detector.network._network.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("failing", ["", "cuModuleLoadData"])
def test_frames_of_all_cameras_run_in_one_go(
    tmp_path: Path, plan: FixedPlan, driver: ctypes.CDLL, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The GPU fits them into the input, and the CPU where the driver refuses the kernel; people are found alike."""
    plan.shape, [rows] = (3, 3, SIZE_PX, SIZE_PX), plan.outputs.values()
    plan.outputs = {"rows": np.concatenate([rows, rows, rows])}
    driver.fail(failing.encode())
    detector = open_detector(DetectorSettings(write_plan(tmp_path)))
    driver.fail(b"")
    assert isinstance(detector, NetworkDetector)
    assert frames_at_once(detector) == 3, "what a worker takes at a time"
    assert detector.network.takes_frames == (failing == "")  # type: ignore[attr-defined]
    assert ("on the CPU" in caplog.text) == (failing != "")
    large, small = _dark_picture(2 * SIZE_PX), _dark_picture(SIZE_PX // 2)
    started = driver.noted().count(b"cuGraphLaunch")
    found = detect_all(detector, [large, small])
    assert driver.noted().count(b"cuGraphLaunch") == started + 1
    for people, zoom in zip(found, (2.0, 0.5), strict=True):
        np.testing.assert_allclose([one.box for one in people], zoom * np.array(BOXES), atol=0.1)
    alone = detector.detect(large)
    np.testing.assert_allclose([one.box for one in alone], [one.box for one in found[0]], atol=0.1)
    detector.network._network.close()  # type: ignore[attr-defined]


def test_the_gpu_gives_a_network_what_the_cpu_would(plan: FixedPlan) -> None:
    """The plan's outputs are raised by the mean of its input, so a frame that came otherwise would show."""
    network = FixedNetwork(b"plan")
    assert network.images == "images"
    picture, rule, [rows] = _dark_picture(SIZE_PX // 2, luma=90), InputRule("centred"), plan.outputs.values()
    fit = fit_into(SIZE_PX, SIZE_PX, frame_px=(SIZE_PX // 2, SIZE_PX // 2), placement="centred")
    planes = np.empty((3, SIZE_PX, SIZE_PX), np.float32)
    fill_input(picture, fit, rule=rule, planes=planes)
    [found] = network.run_frames([picture], place_on_device(fit, rule, is_nv12=True)[None], inputs={})
    np.testing.assert_allclose(found, rows + planes.mean(), atol=0.005)
    network.close()


def _dark_picture(size_px: int, *, luma: int = 16) -> Nv12:
    chroma = np.full((size_px // 2, size_px // 2, 2), 128, np.uint8)
    return Nv12(np.full((size_px, size_px), luma, np.uint8), chroma)


def test_a_plan_of_another_device_is_refused(tmp_path: Path, plan: FixedPlan) -> None:
    """By everything that tells devices apart, and before it is loaded."""
    path = write_plan(tmp_path, multiprocessors=8, board="NVIDIA Jetson Orin Nano")
    with pytest.raises(EngineError, match=r"multiprocessors: 8, but this device has 16; and for the board NVIDIA"):
        open_detector(DetectorSettings(path))


def test_each_run_sees_its_own_image(plan: FixedPlan, driver: ctypes.CDLL) -> None:
    """By a recording, and launched one by one where there can be none."""
    for failing in ("", "cuGraphInstantiateWithFlags"):
        driver.fail(failing.encode())
        network = FixedNetwork(b"plan")
        assert (network.recording_fault is None) == (failing == "")
        for value in (0.0, 0.5):
            [rows] = network.run({"images": np.full(plan.shape, value, np.float32)})
            np.testing.assert_allclose(rows, plan.outputs["rows"] + value, atol=1e-5)
        network.close()
        plan.recorded.clear()


@pytest.mark.parametrize("failing", ["cuStreamCreate", "cuMemAlloc_v2", "cuStreamSynchronize"])
def test_a_failed_open_releases_what_it_had(plan: FixedPlan, driver: ctypes.CDLL, failing: str) -> None:
    """The fixture counts what is left."""
    driver.fail(failing.encode())
    with pytest.raises(DeviceError, match=failing):
        FixedNetwork(b"plan")


def test_free_sizes_are_refused(plan: FixedPlan) -> None:
    """A plan of a network that takes any size has no buffers to run in."""
    plan.shape = (1, 3, -1, -1)
    with pytest.raises(EngineError, match="fixed sizes in the plan, found images FLOAT"):
        FixedNetwork(b"plan")

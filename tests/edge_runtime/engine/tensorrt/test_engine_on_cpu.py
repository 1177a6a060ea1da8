"""The TensorRT engine from opening to closing, on a driver and a TensorRT of ours that run on the CPU."""

import ctypes
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import DeviceError, EngineError
from edge_runtime.contract.manifest import Build, hash_file, write_manifest
from edge_runtime.engine.tensorrt.cuda import read_device
from edge_runtime.engine.tensorrt.library import tensorrt_log
from edge_runtime.engine.tensorrt.tensorrt_engine import TensorRTEngine
from tests.support.tensorrt_on_cpu import Plan, tensorrt_module
from tests.support.tiny_network import HEIGHT_PX, LENGTH, WIDTH_PX, tiny_manifest


@pytest.fixture
def plan(driver: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The bytes of a plan, as our TensorRT on the CPU reads them."""
    plan = Plan()
    monkeypatch.setitem(sys.modules, "tensorrt", tensorrt_module(plan, driver))
    tensorrt_log.cache_clear()
    return plan


@pytest.fixture(autouse=True)
def _no_log_of_ours_stays() -> None:
    tensorrt_log.cache_clear()


def opened(folder: Path, plan: Plan) -> TensorRTEngine:
    """An engine of the plan, with a manifest of this device."""
    path = folder / "tiny.engine"
    path.write_bytes(b"plan")
    manifest = tiny_manifest(path)
    smallest, best, largest = plan.sizes
    sizes = {"batch_min": smallest, "batch_opt": best, "batch_max": largest}
    artefact = manifest.artefact.model_copy(update={"kind": "engine", "sha256": hash_file(path), **sizes})
    build = Build(backend="tensorrt", precision="fp32", tensorrt="10.3.0", **vars(read_device()))
    manifest = manifest.model_copy(update={"artefact": artefact, "build": build})
    write_manifest(manifest, path)
    return TensorRTEngine(path, manifest)


def crops(count: int) -> NDArray[np.uint8]:
    """Crops of one colour each, all different."""
    pixels = np.random.default_rng(count).integers(0, 256, (count, 1, 1, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (count, HEIGHT_PX, WIDTH_PX, 3)))


def expected(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What the network of ours makes of crops."""
    rows = np.zeros((len(pixels), LENGTH), np.float32)
    rows[:, :3] = 1 + pixels.mean(axis=(1, 2))
    return normalise(rows)


@pytest.mark.parametrize("has_profiles", [True, False])
@pytest.mark.parametrize("count", [1, 3, 4, 9, 23])
def test_any_number_of_crops_is_described(tmp_path: Path, plan: Plan, count: int, has_profiles: bool) -> None:
    """With a profile for each batch size, and with one for all as earlier versions built it."""
    plan.has_profiles = has_profiles
    with opened(tmp_path, plan) as engine:
        pixels = crops(count)
        np.testing.assert_allclose(engine.describe(pixels), expected(pixels), rtol=1e-5)
        assert engine.backend == "tensorrt 10.3.0 CPU"


def test_the_second_slot_is_made_when_one_batch_is_not_enough(tmp_path: Path, plan: Plan, driver: ctypes.CDLL) -> None:
    """Until then it takes no memory."""
    with opened(tmp_path, plan) as engine:
        at_start = driver.held_bytes()
        engine.describe(crops(4))
        assert driver.held_bytes() == at_start
        engine.describe(crops(5))
        assert driver.held_bytes() > 1.5 * at_start


@pytest.mark.parametrize("failing", ["cuStreamBeginCapture_v2", "cuStreamEndCapture", "cuGraphInstantiateWithFlags"])
def test_an_engine_that_cannot_record_runs_all_the_same(
    tmp_path: Path, plan: Plan, driver: ctypes.CDLL, caplog: pytest.LogCaptureFixture, failing: str
) -> None:
    """It is logged once with the driver's reason, also when there are two slots, and `backend` says so."""
    driver.fail(failing.encode())
    with caplog.at_level(logging.WARNING), opened(tmp_path, plan) as engine:
        assert engine.backend == "tensorrt 10.3.0 CPU, runs not recorded"
        pixels = crops(11)
        np.testing.assert_allclose(engine.describe(pixels), expected(pixels), rtol=1e-5)
    [record] = caplog.records
    assert failing in record.getMessage()


def test_a_tensorrt_that_refuses_while_recording_runs_all_the_same(tmp_path: Path, plan: Plan) -> None:
    """Not only the driver may refuse."""
    plan.breaks_recording = True
    with opened(tmp_path, plan) as engine:
        assert engine.backend.endswith(", runs not recorded")


def test_all_is_released_in_order(tmp_path: Path, plan: Plan, driver: ctypes.CDLL) -> None:
    """Recordings, contexts, memory, streams, the engine, and the CUDA context last. The fixture counts what is left."""
    engine = opened(tmp_path, plan)
    engine.describe(crops(9))
    before = len(driver.noted())
    plan.recorded.clear()
    engine.close()
    engine.close()
    done = driver.noted()[before:].decode().split()
    order = ["cuGraphDestroy", "context-gone", "cuMemFree_v2", "cuStreamDestroy_v2", "engine-gone"]
    firsts = [done.index(what) for what in order]
    assert firsts == sorted(firsts)
    assert done.count("context-gone") == 6, "three sizes in two slots"
    assert done[-1] == "cuDevicePrimaryCtxRelease_v2"
    with pytest.raises(EngineError, match=r"tiny\.engine is closed"):
        engine.describe(crops(1))


@pytest.mark.parametrize("failing", ["cuStreamCreate", "cuMemAlloc_v2", "cuMemHostAlloc", "cuStreamSynchronize"])
def test_a_failed_open_releases_what_it_had(tmp_path: Path, plan: Plan, driver: ctypes.CDLL, failing: str) -> None:
    """The fixture counts what is left: nothing, the CUDA context included, so another try may succeed."""
    driver.fail(failing.encode())
    with pytest.raises(DeviceError, match=failing):
        opened(tmp_path, plan)
    driver.fail(b"")
    opened(tmp_path, plan).close()


def test_a_plan_without_a_batch_size_is_refused(tmp_path: Path, plan: Plan) -> None:
    """A manifest that promises other batches than the plan has."""
    path = tmp_path / "tiny.engine"
    engine = opened(tmp_path, plan)
    engine.close()
    artefact = engine.manifest.artefact.model_copy(update={"batch_max": 8})
    with pytest.raises(EngineError, match=r"expected .* batch \[1, 8\]; found .* batch \[1, 4\]"):
        TensorRTEngine(path, engine.manifest.model_copy(update={"artefact": artefact}))


def test_people_of_a_frame_are_cut_out_on_the_device(tmp_path: Path, plan: Plan) -> None:
    """One colour everywhere, so that every crop shows it."""
    frame = np.full((61, 77, 3), (10, 120, 240), np.uint8)
    with opened(tmp_path, plan) as engine:
        found = engine.describe_boxes(frame, [(1, 1, 20, 40)] * 6)
    np.testing.assert_allclose(found, expected(np.broadcast_to(frame[:1, :1], (6, 1, 1, 3))), rtol=1e-5)

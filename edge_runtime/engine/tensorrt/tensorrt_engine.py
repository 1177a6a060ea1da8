"""TensorRT plans on the GPU: two batches in flight, so that copying and computing overlap; no allocation per call."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import Box
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.tensorrt.crop_kernel import FrameCropper
from edge_runtime.engine.tensorrt.cuda import Cuda, Device, driver_unavailable, read_device
from edge_runtime.engine.tensorrt.library import load_tensorrt, shares_profiles, tensorrt_log, version_numbers
from edge_runtime.engine.tensorrt.slot import Slot

logger = logging.getLogger(__name__)

# Not trt.nptype: that of TensorRT 8 uses names that newer versions of numpy no longer have.
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "UINT8": "uint8", "BOOL": "bool"}


class TensorRTEngine(Engine):
    """A plan that was built on this device.

    records_runs: launch each batch by a recorded CUDA graph, two batches in flight. TensorRT 8.5 cannot do this: there
    one context runs the batches one after the other.

    Threads: one thread may open it and another one use it, but never two at the same time; `close` belongs to the
    thread that opened it. No method computes in threads of its own: the GPU does, and the caller waits for it.

    Raises:
        EngineError: TensorRT, pycuda or a GPU is missing; the plan is of another TensorRT or GPU; TensorRT refuses
            it; or its tensors are not those of the manifest.
    """

    def __init__(self, path: Path, manifest: Manifest, *, records_runs: bool = True) -> None:
        super().__init__(manifest)
        trt = load_tensorrt()
        missing_driver = driver_unavailable()
        device = None if missing_driver else read_device()
        check_versions(manifest, tensorrt_version=trt.__version__, device=device)
        if device is None:
            raise EngineError(f"cannot run {path}: {missing_driver}; run its ONNX file with ONNX Runtime instead")
        self.backend = f"tensorrt {trt.__version__} {device.gpu}"
        self._cuda = Cuda()
        with self._cuda.current():
            free_before = self._cuda.free_memory_bytes()
            self._engine = _deserialize(trt, path)
            _check_tensors(trt, self._engine, path=path, manifest=manifest)
            is_recorded = records_runs and shares_profiles(trt)
            slot = partial(Slot, self._cuda, self._engine, manifest=manifest, is_recorded=is_recorded)
            self._slots = (slot(), slot()) if is_recorded else (slot(),)
            self._cropper: FrameCropper | None = None
            used_mib = (free_before - self._cuda.free_memory_bytes()) / 2**20
        logger.info("the engine takes %.0f MiB of the GPU's memory and is warm", used_mib)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._cuda.current():
            return describe_in_turns(self._slots, crops, batch_max=self.manifest.artefact.batch_max)

    def describe_boxes(self, frame: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Describe people of one frame, cut out and resized on the GPU. Whether that is faster is not measured yet.

        frame: (H, W, 3) uint8, RGB. Returns (N, length) float32, each row of unit L2 length, in the order of the boxes.

        Raises:
            EngineError: see `describe`; the kernel cannot be compiled; or the network takes crops of another rule.
        """
        slot, batch_max = self._slots[0], self.manifest.artefact.batch_max
        descriptors = np.empty((len(boxes), self.manifest.descriptor.length), np.float32)
        with self._cuda.current():
            cropper = self._open_cropper()
            for start in range(0, len(boxes), batch_max):
                some = boxes[start : start + batch_max]
                cropper.crop_rgb(frame, some, into=slot.pixels, stream=slot.stream)
                slot.start_uploaded(len(some))
                descriptors[start : start + len(some)] = slot.finish()
        return normalise(self._check_finite(descriptors))

    def _open_cropper(self) -> FrameCropper:
        if self._cropper is None:
            spec, batch_max = self.manifest.input, self.manifest.artefact.batch_max
            if spec.resize != "bilinear-half-pixel":
                raise EngineError(
                    f"the GPU crops by bilinear-half-pixel, but this network takes {spec.resize} crops; use describe"
                )
            if spec.colour_order != "RGB":
                raise EngineError(f"the GPU crops in RGB, but this network takes {spec.colour_order}; use describe")
            self._cropper = FrameCropper(
                self._cuda, height_px=spec.height_px, width_px=spec.width_px, crops_max=batch_max
            )
        return self._cropper

    def close(self) -> None:
        """Release the engine's memory on host and device; call it on the thread that opened it."""
        with self._cuda.current():
            for slot in self._slots:
                slot.close()
            if self._cropper is not None:
                self._cropper.free()
            del self._slots, self._engine
        self._cuda.release()


def describe_in_turns(slots: Sequence[Slot], crops: NDArray[np.uint8], *, batch_max: int) -> NDArray[np.float32]:
    """Describe any number of crops; one slot is filled while the GPU works on the other. Returns (N, length)."""
    parts = []
    starts = range(0, len(crops), batch_max)
    for turn, start in enumerate(starts):
        slot = slots[turn % len(slots)]
        if slot.is_busy:
            parts.append(slot.finish().copy())
        slot.start(crops[start : start + batch_max])
    for turn in range(max(0, len(starts) - len(slots)), len(starts)):
        parts.append(slots[turn % len(slots)].finish().copy())
    return np.concatenate(parts)


def check_versions(manifest: Manifest, *, tensorrt_version: str, device: Device | None) -> None:
    """Check that a plan was built for this TensorRT and this GPU. device: None without a driver; it is not compared.

    Raises:
        EngineError: it was not; the message has every value that differs.
    """
    build, faults = manifest.build, []
    if version_numbers(build.tensorrt or "") != version_numbers(tensorrt_version):
        faults.append(f"TensorRT {build.tensorrt}, but this device has {tensorrt_version}")
    if device and build.gpu != device.gpu:
        faults.append(f"the GPU {build.gpu}, but this device has {device.gpu}")
    if device and build.compute_capability != device.compute_capability:
        faults.append(f"compute capability {build.compute_capability}, but this device has {device.compute_capability}")
    if faults:
        raise EngineError(
            f"the engine {manifest.artefact.file} was built for {'; and for '.join(faults)}; "
            "build it again on this device with export/build_engine.py"
        )


def _deserialize(trt: Any, path: Path) -> Any:
    runtime = trt.Runtime(tensorrt_log())
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        raise EngineError(
            f"TensorRT {trt.__version__} cannot load {path}: {tensorrt_log().take_errors()}; "
            "build it again on this device with export/build_engine.py"
        )
    return engine


def _check_tensors(trt: Any, engine: Any, *, path: Path, manifest: Manifest) -> None:
    spec, descriptor, artefact = manifest.input, manifest.descriptor, manifest.artefact
    expected = [
        f"input {spec.tensor} {spec.dtype} (-1, {spec.height_px}, {spec.width_px}, {spec.channels})",
        f"output {descriptor.tensor} float32 (-1, {descriptor.length})",
        f"batch {[artefact.batch_min, artefact.batch_opt, artefact.batch_max]}",
    ]
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = sorted(_as_text(trt, engine, name=name) for name in names)  # `input` comes before `output`
    if spec.tensor in names:
        found.append(f"batch {[shape[0] for shape in engine.get_tensor_profile_shape(spec.tensor, 0)]}")
    if found != expected:
        raise EngineError(
            f"{path} does not fit its manifest: expected {', '.join(expected)}; found {', '.join(found)}; "
            "build it again with export/build_engine.py"
        )


def _as_text(trt: Any, engine: Any, *, name: str) -> str:
    """Role, name, type and shape as in the manifest; -1 stands for a batch of any size."""
    role = "input" if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else "output"
    dtype = engine.get_tensor_dtype(name).name
    return f"{role} {name} {_DTYPES.get(dtype, dtype)} {tuple(engine.get_tensor_shape(name))}"

"""TensorRT plans on the GPU: recorded runs, nothing allocated per call, a second batch in flight where one is full."""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build, Manifest
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import Box
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.tensorrt.cuda import Cuda, Device, driver_unavailable, read_device
from edge_runtime.engine.tensorrt.frame_cropper import FrameCropper
from edge_runtime.engine.tensorrt.library import load_tensorrt, shares_profiles, tensorrt_log, version_numbers
from edge_runtime.engine.tensorrt.slot import Slot

logger = logging.getLogger(__name__)

# Not trt.nptype: that of TensorRT 8 uses names that newer versions of numpy no longer have.
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "UINT8": "uint8", "BOOL": "bool"}


class TensorRTEngine(Engine):
    """A plan that was built on this device.

    records_runs: launch each batch by a recorded CUDA graph. Where the driver cannot record them, kernels are launched
    one by one, which is logged once, and `backend` says so.

    More crops than one batch holds are described by two slots in turns; the second one, which takes as much of the
    GPU's memory again, is made when it is needed for the first time. With TensorRT 8.5 there is one only.

    Threads: one thread may open it and another one use it, but never two at the same time; `close` belongs to the
    thread that opened it. No method computes in threads of its own: the GPU does, and the caller waits for it.

    Raises:
        EngineError: TensorRT or a GPU is missing; the plan is of another TensorRT or GPU; TensorRT refuses
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
        self._slots: list[Slot] = []
        self._cropper: FrameCropper | None = None
        self._engine: Any = None
        self._cuda: Cuda | None = Cuda()
        try:
            with self._cuda.current():
                self._open(trt, path, records_runs=records_runs)
        except BaseException:
            self.close()
            raise

    def _open(self, trt: Any, path: Path, *, records_runs: bool) -> None:
        """Load the plan, make the first slot, and say what that takes."""
        manifest, cuda = self.manifest, self._current_cuda()
        free_before = cuda.free_memory_bytes()
        self._engine = _deserialize(trt, path)
        _check_tensors(trt, self._engine, path=path, manifest=manifest)
        has_contexts = shares_profiles(trt) or self._engine.num_optimization_profiles > 1
        is_recorded = records_runs and has_contexts
        self._make_slot = partial(
            Slot, cuda, self._engine, manifest=manifest, is_recorded=is_recorded, has_contexts=has_contexts
        )
        self._slots_max = 2 if is_recorded and shares_profiles(trt) else 1
        self._slots.append(self._make_slot())
        if fault := self._slots[0].recording_fault:
            self.backend += ", runs not recorded"
            logger.warning("runs cannot be recorded, so each batch launches its kernels one by one: %s", fault)
            self._make_slot.keywords["is_recorded"] = False
        used_mib = (free_before - cuda.free_memory_bytes()) / 2**20
        logger.info("the engine takes %.0f MiB of the GPU's memory and is warm", used_mib)

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        batch_max = self.manifest.artefact.batch_max
        with self._current_cuda().current():
            if len(crops) > batch_max and len(self._slots) < self._slots_max:
                self._slots.append(self._make_slot())
            return describe_in_turns(self._slots, crops, batch_max=batch_max)

    def _current_cuda(self) -> Cuda:
        if self._cuda is None:
            raise EngineError(f"the engine {self.manifest.artefact.file} is closed; open it again")
        return self._cuda

    def describe_boxes(self, frame: Nv12 | NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.float32]:
        """Describe people of one frame, cut out and resized on the GPU. Whether that is faster is not measured yet.

        frame: NV12, or (H, W, 3) uint8, RGB. Returns (N, length) float32, each row of unit L2 length, in the order of
        the boxes.

        Raises:
            EngineError: see `describe`; the driver refuses the kernels; or the network takes crops of another rule.
        """
        slot, batch_max = self._slots[0], self.manifest.artefact.batch_max
        descriptors = np.empty((len(boxes), self.manifest.descriptor.length), np.float32)
        with self._current_cuda().current():
            cropper = self._open_cropper()
            for start in range(0, len(boxes), batch_max):
                some = boxes[start : start + batch_max]
                cropper.crop(frame, some, into=slot.pixels, stream=slot.stream)
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
                self._current_cuda(), height_px=spec.height_px, width_px=spec.width_px, crops_max=batch_max
            )
        return self._cropper

    def close(self) -> None:
        """Release what the engine holds on host and device, the CUDA context last; it may be called again.

        Call it on the thread that opened the engine.
        """
        cuda, self._cuda = self._cuda, None
        if cuda is None:
            return
        try:
            with cuda.current():
                while self._slots:  # popped: the last reference to a slot must be gone before its context is
                    self._slots.pop().close()
                if self._cropper is not None:
                    self._cropper.free()
                self._cropper = self._engine = None
                self.__dict__.pop("_make_slot", None)  # it holds the engine
        finally:
            cuda.release()


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
    """See `check_build`."""
    check_build(manifest.build, name=manifest.artefact.file, tensorrt_version=tensorrt_version, device=device)


def check_build(build: Build, *, name: str, tensorrt_version: str, device: Device | None) -> None:
    """Check that a plan was built for this TensorRT and this GPU. device: None without a driver; it is not compared.

    name: of the file, for messages.

    Raises:
        EngineError: it was not; the message has every value that differs.
    """
    faults = []
    if version_numbers(build.tensorrt or "") != version_numbers(tensorrt_version):
        faults.append(f"TensorRT {build.tensorrt}, but this device has {tensorrt_version}")
    if device and build.gpu != device.gpu:
        faults.append(f"the GPU {build.gpu}, but this device has {device.gpu}")
    for what, of_build, here in _tuned_for(build, device) if device else ():
        if of_build is not None and of_build != here:  # engines of earlier versions do not say
            faults.append(f"{what} {of_build}, but this device has {here}")
    if device and build.compute_capability != device.compute_capability:
        faults.append(f"compute capability {build.compute_capability}, but this device has {device.compute_capability}")
    if device and build.power_mode is not None and build.power_mode != device.power_mode:
        logger.warning(
            "the engine was tuned in power mode %s, and this device is in %s: its kernels may not be the fastest ones",
            build.power_mode,
            device.power_mode,
        )
    if faults:
        raise EngineError(
            f"the engine {name} was built for {'; and for '.join(faults)}; "
            "build it again on this device with export/build_engine.py"
        )


def _tuned_for(build: Build, device: Device) -> Iterable[tuple[str, object, object]]:
    """What a plan is tuned for beside the GPU's name: what it is called, as built, and as found here."""
    yield "multiprocessors:", build.multiprocessors, device.multiprocessors
    yield "GiB of memory:", build.memory_gib, device.memory_gib
    yield "the board", build.board, device.board


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
        f"batch {[artefact.batch_min, artefact.batch_max]}",
    ]
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = sorted(_as_text(trt, engine, name=name) for name in names)  # `input` comes before `output`
    if spec.tensor in names:
        profiles = range(engine.num_optimization_profiles)
        sizes = [shape[0] for index in profiles for shape in engine.get_tensor_profile_shape(spec.tensor, index)]
        found.append(f"batch {[min(sizes), max(sizes)]}")
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

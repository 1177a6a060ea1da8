"""TensorRT plans on the GPU: named tensors, a stream of their own, pinned buffers allocated once."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.engine.cuda import Buffer, Cuda, Device, driver_unavailable, read_device
from edge_runtime.engine.engine import Engine
from edge_runtime.engine.tensorrt_library import load_tensorrt, tensorrt_log, version_numbers

# Our own table: trt.nptype of 8.x asks numpy for names that newer numpy no longer has.
_DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "UINT8": "uint8", "BOOL": "bool"}


class TensorRTEngine(Engine):
    """A plan built on this device. It may be opened on one thread and used on another, one at a time.

    Raises:
        EngineError: TensorRT, pycuda or a GPU is missing; the plan is of another TensorRT or GPU; TensorRT refuses
            it; or its tensors are not those of the manifest.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
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
            self._engine = _deserialize(trt, path)
            _check_tensors(trt, self._engine, path=path, manifest=manifest)
            self._context = self._engine.create_execution_context()
            if self._context is None:
                raise EngineError(f"TensorRT cannot prepare {path} to run: {tensorrt_log().take_errors()}")
            self._allocate()

    def _allocate(self) -> None:
        spec, descriptor, batch_max = self.manifest.input, self.manifest.descriptor, self.manifest.artefact.batch_max
        self._crop_shape = (spec.height_px, spec.width_px, 3)
        self._stream = self._cuda.driver.Stream()
        self._pixels = Buffer(self._cuda, (batch_max, *self._crop_shape), dtype=np.uint8)
        self._descriptors = Buffer(self._cuda, (batch_max, descriptor.length), dtype=np.float32)
        for tensor, buffer in ((spec.tensor, self._pixels), (descriptor.tensor, self._descriptors)):
            self._require(self._context.set_tensor_address(tensor, buffer.address), f"set the address of {tensor}")

    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        count = max(len(crops), self.manifest.artefact.batch_min)  # rows beyond the crops are old ones, and ignored
        self._pixels.host[: len(crops)] = crops
        with self._cuda.current():
            shape = (count, *self._crop_shape)
            self._require(self._context.set_input_shape(self.manifest.input.tensor, shape), f"take {count} crops")
            self._pixels.upload(count, stream=self._stream)
            self._require(self._context.execute_async_v3(self._stream.handle), f"run {count} crops")
            self._descriptors.download(count, stream=self._stream)
            self._stream.synchronize()
        return np.array(self._descriptors.host[: len(crops)])

    def _require(self, is_done: bool, action: str) -> None:
        if not is_done:
            raise EngineError(f"{self.backend} could not {action}: {tensorrt_log().take_errors()}; restart the program")

    def close(self) -> None:
        """Give back the engine's memory on host and device; call it on the thread that opened it."""
        with self._cuda.current():
            self._pixels.free()
            self._descriptors.free()
            del self._context, self._engine, self._stream
        self._cuda.release()


def check_versions(manifest: Manifest, *, tensorrt_version: str, device: Device | None) -> None:
    """Check that a plan belongs to this TensorRT and this GPU; without a driver there is no device to compare.

    Raises:
        EngineError: with every value that disagrees.
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
        f"input {spec.tensor} {spec.dtype} (-1, {spec.height_px}, {spec.width_px}, 3)",
        f"output {descriptor.tensor} float32 (-1, {descriptor.length})",
        f"batch {[artefact.batch_min, artefact.batch_opt, artefact.batch_max]}",
    ]
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = sorted(_as_text(trt, engine, name) for name in names)  # `input` comes before `output`
    if spec.tensor in names:
        found.append(f"batch {[shape[0] for shape in engine.get_tensor_profile_shape(spec.tensor, 0)]}")
    if found != expected:
        raise EngineError(
            f"{path} does not fit its manifest: expected {', '.join(expected)}; found {', '.join(found)}; "
            "build it again with export/build_engine.py"
        )


def _as_text(trt: Any, engine: Any, name: str) -> str:
    """Role, name, type and shape as in the manifest; a batch that may vary reads -1."""
    role = "input" if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else "output"
    dtype = engine.get_tensor_dtype(name).name
    return f"{role} {name} {_DTYPES.get(dtype, dtype)} {tuple(engine.get_tensor_shape(name))}"

"""One interface over every backend: uint8 crops in, L2-normalised descriptors out."""

import logging
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.preprocess import in_colour_order

logger = logging.getLogger(__name__)

Backend = Literal["auto", "onnxruntime", "openvino", "tensorrt"]


class Engine(ABC):
    """A network ready to run. Not safe to share between threads. Use as a context manager or call `close`."""

    backend: str
    """What runs the network, as a person would name it: `onnxruntime 1.20 CPU`, `tensorrt 10.3 Orin`."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def describe(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn crops into descriptors.

        crops: (N, height, width, 3) uint8, RGB, resized as the manifest says; N may be 0 or any size.
        Returns (N, length) float32, each row of unit L2 length.

        Raises:
            EngineError: crops of another shape or type, or the backend failed or gave what is no number.
        """
        return normalise(self.describe_raw(crops))

    def describe_raw(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Descriptors as the network gives them, not of unit length; otherwise as `describe`.

        Only scoring asks for them: Euclidean distance and the sum over an image and its mirror depend on the length.
        """
        spec = self.manifest.input
        expected = (spec.height_px, spec.width_px, 3)
        if crops.dtype != np.uint8 or crops.shape[1:] != expected:
            raise EngineError(
                f"the engine takes uint8 crops of shape (N, {', '.join(map(str, expected))}), "
                f"found {crops.dtype} {crops.shape}; crop with contract.preprocess"
            )
        if len(crops) == 0:
            return np.empty((0, self.manifest.descriptor.length), np.float32)
        return self._finite(self._run(in_colour_order(crops, spec.colour_order)))

    def _normalised(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        return normalise(self._finite(descriptors))

    def _finite(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(descriptors).all():
            raise EngineError(
                f"{self.backend} gave descriptors with numbers that are not finite for {len(descriptors)} crops; "
                "build the engine again, in float32 if this one is half precision"
            )
        return descriptors

    @abstractmethod
    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run any number of crops but none, of as many channels as the manifest says. Returns (N, length), raw."""

    def close(self) -> None:  # noqa: B027 - not every backend holds something
        """Give back what the backend holds; the engine cannot be used afterwards."""

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_engine(path: Path, *, backend: Backend = "auto", threads: int = 1) -> Engine:
    """Open the model at `path` after checking it against its manifest.

    `auto` takes the backend the manifest was built for, and asking for another one is an error, never a silent change.
    `threads` counts the CPU threads that one call may use.

    Raises:
        ManifestError: manifest missing, wrong, or of another file.
        EngineError: the backend is missing, refuses the file, or its tensors disagree with the manifest.
    """
    manifest = read_manifest(path)
    built_for = manifest.build.backend
    if built_for == "torch":
        raise EngineError(f"{path} is a checkpoint; export it with export/to_onnx.py first")
    if backend not in ("auto", built_for):
        raise EngineError(f"{path} was built for {built_for}, not {backend}; build it with export/build_engine.py")
    if built_for == "tensorrt":
        from edge_runtime.engine.tensorrt.tensorrt_engine import TensorRTEngine

        engine: Engine = TensorRTEngine(path, manifest)
    elif built_for == "openvino":
        from edge_runtime.engine.openvino_engine import OpenVinoEngine

        engine = OpenVinoEngine(path, manifest, threads=threads)
    else:
        from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine

        engine = OnnxRuntimeEngine(path, manifest, threads=threads)
    logger.info("engine %s (%s) runs on %s", manifest.model_id, manifest.build.precision, engine.backend)
    return engine

"""The interface of every engine: uint8 crops in, L2-normalised descriptors out."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import in_colour_order


class Engine(ABC):
    """A network that is ready to run. Use it as a context manager, or call `close`.

    Threads: one thread at a time may use it; in the daemon that is the main loop. An engine may compute in threads of
    its own, and returns when they have finished.
    """

    backend: str
    """Library, version and device that run the network: `onnxruntime 1.20 CPU`, `tensorrt 10.3 Orin`."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest

    def describe(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn crops into descriptors.

        crops: (N, height, width, 3) uint8, RGB, resized as the manifest says; N may be 0 or any size.
        Returns (N, length) float32, each row of unit L2 length.

        Raises:
            EngineError: crops of another shape or type; or the backend failed, or returned infinity or NaN.
        """
        return normalise(self.describe_raw(crops))

    def describe_raw(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Turn crops into descriptors as the network returns them, not of unit length; otherwise as `describe`.

        Only scoring needs them: Euclidean distance and the sum over an image and its mirror depend on the length.
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
        return self._check_finite(self._run(in_colour_order(crops, spec.colour_order)))

    def _check_finite(self, descriptors: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(descriptors).all():
            raise EngineError(
                f"{self.backend} returned descriptors with infinity or NaN for {len(descriptors)} crops; "
                "build the engine again, in float32 if this one is half precision"
            )
        return descriptors

    @abstractmethod
    def _run(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """crops: (N, H, W, C) uint8, N >= 1, sizes and C from the manifest. Returns (N, length), not normalised."""

    def close(self) -> None:  # noqa: B027 - not every backend has something to release
        """Release threads and memory; the engine cannot be used afterwards."""

    def __enter__(self) -> "Engine":
        """The engine itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()

"""One interface over every backend: uint8 crops in, L2-normalised descriptors out."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest
from edge_runtime.contract.preprocess import in_colour_order


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

"""A detection network as a TensorRT plan, on the GPU that it was built on."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.engine.tensorrt.cuda import driver_unavailable, read_device
from edge_runtime.engine.tensorrt.fixed_network import FixedNetwork
from edge_runtime.engine.tensorrt.library import load_tensorrt
from edge_runtime.engine.tensorrt.tensorrt_engine import check_build
from edge_runtime.people.detector_file import DetectorFile
from edge_runtime.people.device_input import place_on_device
from edge_runtime.people.input_fit import Fit, InputRule
from edge_runtime.people.network_kind import Floats, NetworkForm


class TensorRTNetwork:
    """Runs as many images at a time as the plan was built for; see `FrameNetwork`.

    Raises:
        EngineError: TensorRT or a GPU is missing, the plan is of another TensorRT or device, or takes no images.
    """

    def __init__(self, file: DetectorFile, build: Build) -> None:
        trt = load_tensorrt()
        missing_driver = driver_unavailable()
        device = None if missing_driver else read_device()
        check_build(build, name=file.path.name, tensorrt_version=trt.__version__, device=device)
        if device is None:
            raise EngineError(f"cannot run {file.path}: {missing_driver}; use the ONNX file it was built from")
        self._network = FixedNetwork(file.content)
        recording = ", runs not recorded" if self._network.recording_fault else ""
        self.backend = f"tensorrt {trt.__version__} {device.gpu} {build.precision}{recording}"
        image, *sizes = self._network.inputs
        shape = self._network.shape_of(image)
        if len(shape) != 4 or shape[1] != 3:
            raise EngineError(
                f"{file.path} is no person detector: expected images (N, 3, height, width), found {shape}"
            )
        self._image = image
        self._sizes = {name: np.full(self._network.shape_of(name), shape[3], np.int64) for name in sizes}
        self._planes = np.zeros(shape, np.float32)
        self.images_at_once, self.takes_frames = shape[0], self._network.images == image
        self.form = NetworkForm(shape[2], shape[3], 1 + len(sizes), self._network.shapes)

    def run(self, planes: Floats) -> list[Floats]:
        """planes: (3, height, width) float32. Returns the outputs of this image, float32, in the plan's order.

        Raises:
            EngineError: the GPU failed.
        """
        return self.run_batch(planes[None])[0]

    def run_batch(self, planes: Floats) -> list[list[Floats]]:
        """See `BatchNetwork.run_batch`."""
        self._planes[: len(planes)] = planes
        return _by_image(self._network.run({self._image: self._planes, **self._sizes}), len(planes))

    def run_frames(
        self, frames: Sequence[Nv12 | NDArray[np.uint8]], fits: Sequence[Fit], *, rule: InputRule
    ) -> list[list[Floats]]:
        """See `FrameNetwork.run_frames`."""
        rows = [
            place_on_device(fit, rule, is_nv12=isinstance(frame, Nv12)) for frame, fit in zip(frames, fits, strict=True)
        ]
        return _by_image(self._network.run_frames(frames, np.stack(rows), inputs=self._sizes), len(frames))


def _by_image(outputs: Sequence[NDArray[np.generic]], count: int) -> list[list[Floats]]:
    """The outputs of each of the first `count` images. outputs: each (N, ...)."""
    return [[np.asarray(output[number], np.float32) for output in outputs] for number in range(count)]

"""A detection network as a TensorRT plan, on the GPU that it was built on."""

import numpy as np

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build
from edge_runtime.engine.tensorrt.cuda import driver_unavailable, read_device
from edge_runtime.engine.tensorrt.fixed_network import FixedNetwork
from edge_runtime.engine.tensorrt.library import load_tensorrt
from edge_runtime.engine.tensorrt.tensorrt_engine import check_build
from edge_runtime.people.detector_file import DetectorFile
from edge_runtime.people.network_kind import Floats, NetworkForm


class TensorRTNetwork:
    """Runs one image at a time; see `OnnxRuntimeNetwork`.

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
        if len(shape) != 4 or shape[:2] != (1, 3):
            raise EngineError(
                f"{file.path} is no person detector: expected images (1, 3, height, width), found {shape}"
            )
        self._image = image
        self._sizes = {name: np.full(self._network.shape_of(name), shape[3], np.int64) for name in sizes}
        self.form = NetworkForm(shape[2], shape[3], 1 + len(sizes), self._network.shapes)

    def run(self, planes: Floats) -> list[Floats]:
        """planes: (3, height, width) float32. Returns the outputs of this image, float32, in the plan's order.

        Raises:
            EngineError: the GPU failed.
        """
        outputs = self._network.run({self._image: planes[None], **self._sizes})
        return [np.asarray(output[0], np.float32) for output in outputs]

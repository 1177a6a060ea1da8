"""A detection network in ONNX Runtime on the CPU. The only file of the detectors that imports ONNX Runtime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.detector_file import DetectorFile, describe_refusal
from edge_runtime.people.network_kind import FREE_SIZE_PX, Floats, NetworkForm, Shape

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
_REFUSALS = (  # they share no base class but Exception
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
    UnicodeDecodeError,  # its message quotes the bytes of a damaged file
)


class OnnxRuntimeNetwork:
    """Runs one image at a time. A second input, as some DETR exports have it, is the size that boxes are scaled to.

    form: with the shapes that the network really gives: it runs once, on grey, when it is opened.

    Raises:
        EngineError: ONNX Runtime refuses the file, or it takes no images.
    """

    def __init__(self, file: DetectorFile, *, threads: int = 1) -> None:
        self.backend = f"onnxruntime {onnxruntime.__version__} CPU"
        self._session = _open_session(file, threads=threads)
        image, *others = self._session.get_inputs()
        height_px, width_px = _image_size(image, file.path)
        self._image, self._dtype = image.name, _DTYPES[image.type]
        self._sizes = {tensor.name: np.full((1, 2), width_px, np.int64) for tensor in others}
        outputs = self.run(np.full((3, height_px, width_px), 0.5, np.float32))
        shapes: tuple[Shape, ...] = tuple((1, *output.shape) for output in outputs)
        self.form = NetworkForm(height_px, width_px, 1 + len(others), shapes)

    def run(self, planes: Floats) -> list[Floats]:
        """planes: (3, height, width) float32. Returns the outputs of this image, float32, in the file's order.

        Raises:
            EngineError: ONNX Runtime failed.
        """
        feed: dict[str, NDArray[Any]] = {self._image: planes[None].astype(self._dtype, copy=False), **self._sizes}
        try:
            outputs = self._session.run(None, feed)
        except _REFUSALS as error:
            raise EngineError(f"ONNX Runtime could not run the person detector: {_first_line(error)}") from error
        return [np.asarray(output[0], np.float32) for output in outputs]


def _open_session(file: DetectorFile, *, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise EngineError(describe_refusal(file, library="ONNX Runtime", reason=_first_line(error))) from error


def _image_size(image: Any, path: Path) -> tuple[int, int]:
    """Height and width of an image input (1, 3, height, width)."""
    shape = image.shape
    is_image = len(shape) == 4 and shape[1] == 3 and image.type in _DTYPES
    if not is_image or (isinstance(shape[0], int) and shape[0] != 1):
        raise EngineError(
            f"{path} is no person detector: expected images (1, 3, height, width) in float32 or float16 as its first "
            f"input, found {image.name} {image.type} {shape}; export it for one image, planes first"
        )
    height_px, width_px = (size if isinstance(size, int) else FREE_SIZE_PX for size in shape[2:])
    return height_px, width_px


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]

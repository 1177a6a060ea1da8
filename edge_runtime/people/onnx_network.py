"""A detector's ONNX file, open in ONNX Runtime on the CPU. Detectors are told apart by its inputs and outputs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from edge_runtime.contract.errors import EngineError

_GREY = 114
_BACKEND_ERRORS = (  # they share no base class but Exception
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


@dataclass(frozen=True)
class Tensor:
    """One input or output as the file declares it. A size that may vary is a name or None instead of a number."""

    name: str
    kind: str
    shape: tuple[int | str | None, ...]

    def __str__(self) -> str:
        """As error messages show it."""
        return f"{self.name} {self.kind} {list(self.shape)}"


class OnnxNetwork:
    """An open ONNX file. One thread makes and uses it; ONNX Runtime computes on `threads` threads.

    inputs, outputs: as the file declares them; form: the same in words.
    image_size_px: height and width of its input if that is one image, (1, 3, H, W) float32 of fixed size, else None.
    grey_outputs: its outputs for a grey image, for shapes that the file does not declare; empty without image_size_px.

    Raises:
        EngineError: there is no such file, or ONNX Runtime cannot read or run it.
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.path = path
        self._session = _open_session(path, threads=threads)
        self.inputs = tuple(Tensor(each.name, each.type, tuple(each.shape)) for each in self._session.get_inputs())
        self.outputs = tuple(Tensor(each.name, each.type, tuple(each.shape)) for each in self._session.get_outputs())
        self.form = ", ".join(str(tensor) for tensor in (*self.inputs, *self.outputs))
        self.image_size_px = _image_size_px(self.inputs)
        self.grey_outputs: tuple[NDArray[np.float32], ...] = ()
        if self.image_size_px:
            self.grey_outputs = self.run(np.full((1, 3, *self.image_size_px), _GREY, np.float32))

    def run(self, pixels: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        """Run the network on one image, (1, 3, H, W) float32. Returns its outputs in order.

        Raises:
            EngineError: ONNX Runtime failed.
        """
        try:
            outputs = self._session.run(None, {self.inputs[0].name: pixels})
        except _BACKEND_ERRORS as error:
            raise EngineError(f"ONNX Runtime could not run the person detector: {_first_line(error)}") from error
        return tuple(np.asarray(output, np.float32) for output in outputs)


def _image_size_px(inputs: tuple[Tensor, ...]) -> tuple[int, int] | None:
    if len(inputs) != 1 or inputs[0].kind != "tensor(float)" or len(inputs[0].shape) != 4:
        return None
    _, channels, height_px, width_px = inputs[0].shape
    is_fixed = isinstance(height_px, int) and isinstance(width_px, int)
    return (int(height_px), int(width_px)) if channels == 3 and is_fixed else None  # type: ignore[arg-type]


def _open_session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise EngineError(f"there is no person detector at {path}; give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # faults come as exceptions
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _BACKEND_ERRORS as error:
        raise EngineError(
            f"ONNX Runtime cannot read {path} as a network: {_first_line(error)}; "
            "the file is damaged or no ONNX file, copy it again"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]

"""Frames to person boxes by a YOLOX network in ONNX Runtime."""

from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort

from edge_runtime.contract.errors import EngineError
from edge_runtime.people.detector import Detection, best_detections

_STRIDES = (8, 16, 32)  # pixels between the cells of YOLOX's three output grids
_PERSON = 0  # class of COCO
_GREY = 114  # YOLOX pads its input with this value
_REFUSALS = (
    ort.Fail,
    ort.InvalidArgument,
    ort.InvalidGraph,
    ort.InvalidProtobuf,
    ort.NoSuchFile,
    ort.NotImplemented,
    ort.RuntimeException,
)


class YoloxDetector:
    """A YOLOX network (nano to x), exported to ONNX as its authors do by default: the grids are decoded here.

    Scores are probabilities. The input size is read from the file.

    Source: Ge et al., YOLOX, arXiv 2107.08430, section 2.2; pixels go in as BGR in [0, 255].
    """

    sure_score = 0.35

    def __init__(self, path: Path, *, score_threshold: float = 0.1, overlap: float = 0.5, threads: int = 1) -> None:
        self._score_threshold = score_threshold
        self._overlap = overlap
        self._session = _open_session(path, threads=threads)
        self._input, self._height_px, self._width_px = _input_of(self._session, path)
        self._cells, self._strides = _grids(self._height_px, self._width_px)
        self._check_output(path)

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`.

        Raises:
            EngineError: ONNX Runtime failed.
        """
        pixels, zoom = self._letterbox(frame)
        output = self._run(pixels)
        scores = output[:, 4] * output[:, 5 + _PERSON]
        likely = scores >= self._score_threshold
        strides = self._strides[likely] / np.float32(zoom)
        centres = (output[likely, 0:2] + self._cells[likely]) * strides
        halves = np.exp(output[likely, 2:4]) * strides / 2
        boxes = np.concatenate([centres - halves, centres + halves], axis=1)
        return best_detections(boxes, scores[likely], overlap=self._overlap, frame_shape=frame.shape)

    def _letterbox(self, frame: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        """Fit a frame into the top left of the input. Returns (1, 3, H, W) float32, BGR, and the zoom."""
        zoom = min(self._height_px / frame.shape[0], self._width_px / frame.shape[1])
        height_px, width_px = max(1, int(frame.shape[0] * zoom)), max(1, int(frame.shape[1] * zoom))
        canvas = np.full((self._height_px, self._width_px, 3), _GREY, np.uint8)
        canvas[:height_px, :width_px] = cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32), zoom

    def _run(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on (1, 3, H, W). Returns (cells, 5 + classes): centre, log size, objectness, classes."""
        try:
            (output,) = self._session.run(None, {self._input: pixels})
        except _REFUSALS as error:
            raise EngineError(f"ONNX Runtime could not run the person detector: {_first_line(error)}") from error
        return np.asarray(output[0], np.float32)

    def _check_output(self, path: Path) -> None:
        """Run once on grey: tells YOLOX from other detectors, and bare grids from an export that decodes them."""
        output = self._run(np.full((1, 3, self._height_px, self._width_px), _GREY, np.float32))
        if output.ndim != 2 or len(output) != len(self._cells) or output.shape[1] < 6:
            raise EngineError(
                f"{path} is not a YOLOX detector: for {self._height_px}x{self._width_px} pixels expected an output of "
                f"(1, {len(self._cells)}, 5 + classes), found {(1, *output.shape)}; give a YOLOX file in ONNX format"
            )
        if np.abs(output[:, 0:2]).max() > max(_STRIDES):
            raise EngineError(
                f"{path} decodes its boxes inside the graph: expected centres relative to their grid cell, found "
                "pixels; export YOLOX again without --decode_in_inference"
            )


def _open_session(path: Path, *, threads: int) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise EngineError(f"there is no person detector at {path}; give the path of a YOLOX file in ONNX format")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what goes wrong comes as an exception
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise EngineError(
            f"ONNX Runtime cannot read {path} as a network: {_first_line(error)}; "
            "the file is damaged or no ONNX file, copy it again"
        ) from error


def _input_of(session: onnxruntime.InferenceSession, path: Path) -> tuple[str, int, int]:
    """Name, height and width of the one input a YOLOX file has."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = inputs[0].shape
    is_image = len(shape) == 4 and shape[1] == 3 and all(isinstance(size, int) for size in shape[2:])
    if len(inputs) != 1 or len(outputs) != 1 or not is_image or inputs[0].type != "tensor(float)":
        found = ", ".join(f"{tensor.name} {tensor.type} {tensor.shape}" for tensor in (*inputs, *outputs))
        raise EngineError(
            f"{path} is not a YOLOX detector: expected one float input (1, 3, height, width) of fixed size and one "
            f"output, found {found}; give a YOLOX file in ONNX format"
        )
    return inputs[0].name, shape[2], shape[3]


def _grids(height_px: int, width_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each output cell, (cells, 2), and the pixels between cells, (cells, 1)."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]

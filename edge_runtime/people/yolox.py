"""Frames to person boxes by a YOLOX network."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.people.detector import Detection, best_detections

if TYPE_CHECKING:  # a device with HOG needs no ONNX Runtime
    from edge_runtime.people.onnx_network import OnnxNetwork

YOLOX_FORM = "one float input (1, 3, height, width) of fixed size and one output (1, cells, 5 + classes)"
_STRIDES = (8, 16, 32)  # pixels between the cells of YOLOX's three output grids
_PERSON = 0  # class of COCO
_GREY = 114  # YOLOX pads its input with this value


def open_yolox(network: "OnnxNetwork | None") -> "YoloxDetector | None":
    """Make a YOLOX detector of an open file; None where there is no file, or the file is of another kind.

    Raises:
        EngineError: it is YOLOX, but decodes the boxes inside the graph.
    """
    return YoloxDetector(network) if network is not None and _is_yolox(network) else None


def _is_yolox(network: "OnnxNetwork") -> bool:
    """Whether a network has one image as input, and as output one row of numbers for each cell of YOLOX's grids."""
    if network.image_size_px is None or len(network.grey_outputs) != 1:
        return False
    height_px, width_px = network.image_size_px
    cells = sum((height_px // stride) * (width_px // stride) for stride in _STRIDES)
    shape = network.grey_outputs[0].shape
    return len(shape) == 3 and shape[:2] == (1, cells) and shape[2] >= 6


class YoloxDetector:
    """A YOLOX network (nano to x), exported to ONNX as its authors do by default: the grids are decoded here.

    Scores are probabilities. The input size is that of the file. One thread makes and uses it.
    network: one that `open_yolox` takes.

    Source: Ge et al., YOLOX, arXiv 2107.08430, section 2.2; pixels go in as BGR in [0, 255].

    Raises:
        EngineError: the file decodes the boxes itself.
    """

    sure_score = 0.35

    def __init__(self, network: "OnnxNetwork", *, score_threshold: float = 0.1, overlap: float = 0.5) -> None:
        assert network.image_size_px is not None
        self._network = network
        self._score_threshold = score_threshold
        self._overlap = overlap
        self._height_px, self._width_px = network.image_size_px
        self._cells, self._strides = _grids(self._height_px, self._width_px)
        if np.abs(network.grey_outputs[0][0, :, 0:2]).max() > max(_STRIDES):
            raise EngineError(
                f"{network.path} decodes its boxes inside the graph: expected centres relative to their grid cell, "
                "found pixels; export YOLOX again without --decode_in_inference"
            )

    def detect(self, frame: Nv12 | NDArray[np.uint8]) -> list[Detection]:
        """See `Detector.detect`.

        Raises:
            EngineError: ONNX Runtime failed.
        """
        size = (frame.height_px, frame.width_px) if isinstance(frame, Nv12) else (frame.shape[0], frame.shape[1])
        pixels, zoom = self._letterbox(frame, size)
        output = self._network.run(pixels)[0][0]  # (cells, 5 + classes): centre, log size, objectness, classes
        scores = output[:, 4] * output[:, 5 + _PERSON]
        likely = scores >= self._score_threshold
        strides = self._strides[likely] / np.float32(zoom)
        centres = (output[likely, 0:2] + self._cells[likely]) * strides
        halves = np.exp(output[likely, 2:4]) * strides / 2
        boxes = np.concatenate([centres - halves, centres + halves], axis=1)
        return best_detections(boxes, scores[likely], overlap=self._overlap, frame_shape=size)

    def _letterbox(self, frame: Nv12 | NDArray[np.uint8], size: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
        """Fit a frame into the top left of the input. Returns (1, 3, H, W) float32, BGR, and the zoom."""
        zoom = min(self._height_px / size[0], self._width_px / size[1])
        height_px, width_px = max(1, int(size[0] * zoom)), max(1, int(size[1] * zoom))
        canvas = np.full((self._height_px, self._width_px, 3), _GREY, np.uint8)
        if isinstance(frame, Nv12):
            canvas[:height_px, :width_px] = frame.small_rgb(height_px=height_px, width_px=width_px)
        else:
            canvas[:height_px, :width_px] = cv2.resize(frame, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(canvas[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32), zoom


def _grids(height_px: int, width_px: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Column and row of each output cell, (cells, 2), and the pixels between cells, (cells, 1)."""
    cells, strides = [], []
    for stride in _STRIDES:
        rows, columns = np.mgrid[: height_px // stride, : width_px // stride]
        cells.append(np.stack([columns.ravel(), rows.ravel()], axis=1))
        strides.append(np.full((rows.size, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)

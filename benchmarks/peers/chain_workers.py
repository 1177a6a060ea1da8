"""Time one way from boxes on a frame to L2-normalised descriptors; benchmarks/chain.py starts this.

Thread pools keep running after a call and slow down other ways, so each way has a process of its own. It prints
milliseconds per person, one line per call.

example: python benchmarks/peers/chain_workers.py engine osnet.onnx --size 256 128 --batch 8 --seconds 3
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.plain_export import unit_rows
from edge_runtime.contract.preprocess import Box, crop_people
from edge_runtime.contract.script import run
from edge_runtime.engine.catalog import open_engine

if TYPE_CHECKING:  # torch's threads would disturb the ways without it
    from torch import Tensor

DescribePeople = Callable[[NDArray[np.uint8], list[Box]], NDArray[np.float32]]
"""(H, W, 3) uint8 RGB frame and boxes -> (N, D) float32 unit rows."""

MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
FRAME_PX = (1080, 1920)
_WARM_UP_S = 0.5


CropSize = tuple[int, int]
"""Height and width of a crop, in pixels."""


def open_ours(path: Path, *, size: CropSize, threads: int) -> DescribePeople:
    """Ours: uint8 crops in one buffer, mean and deviation in the graph, chunks on one thread each."""
    opened = open_engine(path, threads=threads)
    rule = opened.manifest.input.resize

    def describe(frame: NDArray[np.uint8], boxes: list[Box]) -> NDArray[np.float32]:
        return opened.describe(crop_people(frame, boxes, height_px=size[0], width_px=size[1], rule=rule))

    return describe


def open_torch_crops(path: Path, *, size: CropSize, threads: int) -> DescribePeople:
    """Peer A: crops as torch tensors, normalised one by one, and a default ONNX Runtime session."""
    session = _default_session(path)
    return lambda frame, boxes: unit_rows(session(crop_with_torch(frame, boxes, size=size).numpy()))


def open_numpy_crops(path: Path, *, size: CropSize, threads: int) -> DescribePeople:
    """Peer B: the same loop in numpy, and a default ONNX Runtime session."""
    session = _default_session(path)
    return lambda frame, boxes: unit_rows(session(crop_with_numpy(frame, boxes, size=size)))


def open_numpy_crops_openvino(path: Path, *, size: CropSize, threads: int) -> DescribePeople:
    """Peer B's loop, and OpenVINO with its defaults."""
    import openvino

    network = openvino.Core().compile_model(path, "CPU")
    return lambda frame, boxes: unit_rows(network(crop_with_numpy(frame, boxes, size=size))[0])


def open_eager(path: Path, *, size: CropSize, threads: int) -> DescribePeople:
    """Torchreid's way: PIL images, resized and normalised one by one, and the network in PyTorch eager."""
    import torch

    from train.models.catalog import build

    network = build(path.stem, classes=1).eval()

    def describe(frame: NDArray[np.uint8], boxes: list[Box]) -> NDArray[np.float32]:
        with torch.no_grad():
            return unit_rows(network(crop_with_pil(frame, boxes, size=size)).numpy())

    return describe


WAYS: dict[str, Callable[..., DescribePeople]] = {
    "engine": open_ours,
    "torch_crops": open_torch_crops,
    "numpy_crops": open_numpy_crops,
    "numpy_crops_openvino": open_numpy_crops_openvino,
    "eager": open_eager,
}
"""Functions that open a model, by the name of the way."""


def _default_session(path: Path) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda crops: session.run(None, {name: crops})[0]


def crop_with_torch(frame: NDArray[np.uint8], boxes: list[Box], *, size: CropSize) -> "Tensor":
    """Crop as peer A does: (N, 3, *size) float32, normalised."""
    import torch

    crops = torch.empty((len(boxes), 3, *size))
    mean, std = torch.from_numpy(MEAN).view(3, 1, 1), torch.from_numpy(STD).view(3, 1, 1)
    for index, box in enumerate(boxes):
        crop = torch.from_numpy(_resized(frame, box, size=size)).float().permute(2, 0, 1) / 255
        crops[index] = (crop - mean) / std
    return crops


def crop_like_tracker(frame: NDArray[np.uint8], boxes: list[Box], *, size: CropSize) -> "Tensor":
    """Crop as a popular tracker does: as peer A, but all crops are normalised at once. (N, 3, *size) float32.

    Source: BoxMOT, the method `get_crops` of its re-identification backends.
    Differs: it also swaps the colours of each crop, which crops of an RGB frame do not need.
    """
    import torch

    crops = torch.empty((len(boxes), 3, *size))
    for index, box in enumerate(boxes):
        crops[index] = torch.from_numpy(_resized(frame, box, size=size)).float().permute(2, 0, 1)
    return (crops / 255 - torch.from_numpy(MEAN).view(3, 1, 1)) / torch.from_numpy(STD).view(3, 1, 1)


def crop_with_numpy(frame: NDArray[np.uint8], boxes: list[Box], *, size: CropSize) -> NDArray[np.float32]:
    """Crop as peer B does: (N, 3, *size) float32, normalised."""
    crops = [
        ((_resized(frame, box, size=size).astype(np.float32) / 255 - MEAN) / STD).transpose(2, 0, 1) for box in boxes
    ]
    return np.stack(crops)


def crop_with_pil(frame: NDArray[np.uint8], boxes: list[Box], *, size: CropSize) -> "Tensor":
    """Crop as Torchreid does: (N, 3, *size) float32, normalised.

    Differs: it uses torchvision's transforms; here the same steps are written out.
    """
    import torch
    from PIL import Image

    mean, std = torch.from_numpy(MEAN).view(3, 1, 1), torch.from_numpy(STD).view(3, 1, 1)
    crops = []
    for left, top, right, bottom in boxes:
        person = Image.fromarray(frame[int(top) : int(bottom), int(left) : int(right)])
        image = person.resize(size[::-1], Image.Resampling.BILINEAR)
        crops.append((torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255) - mean) / std)
    return torch.stack(crops)


def _resized(frame: NDArray[np.uint8], box: Box, *, size: CropSize) -> NDArray[np.uint8]:
    left, top, right, bottom = map(int, box)
    return np.asarray(cv2.resize(frame[top:bottom, left:right], size[::-1]), np.uint8)


def make_scene(batch: int) -> tuple[NDArray[np.uint8], list[Box]]:
    """A frame of coloured squares, and `batch` boxes of different sizes all over it."""
    random = np.random.default_rng(0)
    height, width = FRAME_PX
    coarse = random.integers(0, 256, (height // 30, width // 30, 3), dtype=np.uint8)
    frame = coarse.repeat(30, axis=0).repeat(30, axis=1)
    boxes: list[Box] = []
    for _ in range(batch):
        tall = int(random.integers(150, 500))
        left, top = int(random.integers(0, width - tall // 2)), int(random.integers(0, height - tall))
        boxes.append((left, top, left + int(tall * 0.42), top + tall))
    return frame, boxes


def main(argv: list[str] | None = None) -> int:
    """Time one way. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("model", type=Path, help="ONNX file; for `eager` a name of the catalog")
    parser.add_argument("--size", type=int, nargs=2, required=True, help="height and width of the network's input")
    parser.add_argument("--batch", type=int, required=True, help="people per frame")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--threads", type=int, default=2, help="threads of our engines; the others use their default")
    arguments = parser.parse_args(argv)
    describe = WAYS[arguments.way](arguments.model, size=tuple(arguments.size), threads=arguments.threads)
    frame, boxes = make_scene(arguments.batch)
    end = time.perf_counter() + _WARM_UP_S
    while time.perf_counter() < end:
        describe(frame, boxes)
    end = time.perf_counter() + arguments.seconds
    while (start := time.perf_counter()) < end:
        describe(frame, boxes)
        print(1000 * (time.perf_counter() - start) / len(boxes))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))

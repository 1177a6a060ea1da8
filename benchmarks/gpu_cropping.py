"""Crop people on the GPU and on the host; print a JSON record of how far the crops differ and how long each takes."""

import json
import sys
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.preprocess import Box, crop_people
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda, read_device
from edge_runtime.engine.tensorrt.frame_cropper import FrameCropper
from export.building.timing import interleave

_FRAME_PX = (1080, 1920)
_CROP_PX = (256, 128)
_LARGEST_DIFFERENCE = 1  # grey level: the kernel's and OpenCV's rounding may differ


@dataclass(frozen=True)
class CroppingResult:
    """Medians over the rounds, for one frame; the GPU's time includes the copy of the frame to the device.

    largest_difference: in grey levels, over all crops.
    """

    people: int
    largest_difference: int
    host_ms: float
    gpu_ms: float


def main(argv: list[str] | None = None) -> int:
    """Print the record. Returns 0 if the crops agree."""
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--people 8",
        next_step="benchmarks/gpu_evidence.py runs this and everything else that needs a GPU",
        examples="example: python benchmarks/gpu_cropping.py --people 1 8 32",
    )
    parser.add_argument("--people", type=int, nargs="+", default=[1, 8, 32], help="boxes per frame (default: 1 8 32)")
    parser.add_argument("--rounds", type=int, default=100, help="(default: %(default)s)")
    arguments = parser.parse_args(argv)
    if min(*arguments.people, arguments.rounds) < 1:
        raise ConfigError("--people and --rounds must be at least 1")
    read_device()  # without a driver its sentence says what is missing
    results = [_compare(people, rounds=arguments.rounds) for people in arguments.people]
    facts = {"frame": _FRAME_PX, "crop": _CROP_PX, "rounds": arguments.rounds, "allowed": _LARGEST_DIFFERENCE}
    print(json.dumps(record_head("gpu_cropping") | facts | {"results": [asdict(one) for one in results]}, indent=2))
    return int(any(one.largest_difference > _LARGEST_DIFFERENCE for one in results))


def _compare(people: int, *, rounds: int) -> CroppingResult:
    frame, boxes = _scene(people)
    height, width = _CROP_PX
    cuda = Cuda()
    with cuda.current():
        cropper = FrameCropper(cuda, height_px=height, width_px=width, crops_max=people)
        crops = Buffer(cuda, (people, height, width, 3), dtype=np.uint8)
        stream = cuda.make_stream()

        def on_gpu() -> None:
            cropper.crop(frame, boxes, into=crops, stream=stream)
            stream.synchronize()

        def on_host() -> NDArray[np.uint8]:
            return crop_people(frame, boxes, height_px=height, width_px=width, rule="bilinear-half-pixel")

        on_gpu()
        crops.download(people, stream=stream)
        stream.synchronize()
        difference = np.abs(crops.host.astype(np.int16) - on_host()).max()
        samples = interleave({"host": on_host, "gpu": on_gpu}, rounds=rounds)
        cropper.free()
        crops.free()
    medians = {name: round(float(np.median(values)), 4) for name, values in samples.items()}
    return CroppingResult(people, int(difference), host_ms=medians["host"], gpu_ms=medians["gpu"])


def _scene(people: int) -> tuple[NDArray[np.uint8], list[Box]]:
    """A frame of coarse colours, and boxes of different sizes all over it, some beyond its edge."""
    random = np.random.default_rng(0)
    height, width = _FRAME_PX
    frame = (
        random.integers(0, 256, (height // 30, width // 30, 3), dtype=np.uint8).repeat(30, axis=0).repeat(30, axis=1)
    )
    boxes: list[Box] = []
    for _ in range(people):
        tall = float(random.uniform(100, 600))
        left, top = float(random.uniform(-20, width - 100)), float(random.uniform(-20, height - 100))
        boxes.append((left, top, left + 0.42 * tall, top + tall))
    return frame, boxes


if __name__ == "__main__":
    sys.exit(run(main))

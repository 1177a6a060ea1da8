"""The crop kernel's own source, compiled for the CPU and run thread by thread, beside the contract's preprocessing."""

import ctypes
import subprocess
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.preprocess import Box, crop_people
from edge_runtime.engine.tensorrt.crop_kernel import SOURCE, FrameCropper, nv12_factors, whole_boxes
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda, driver_unavailable

HEIGHT_PX, WIDTH_PX = 64, 32
FRAME_HEIGHT_PX, FRAME_WIDTH_PX = 240, 320
BOXES: list[Box] = [
    (10, 20, 42, 84),  # of the network's own size
    (100.4, 30.6, 180.2, 239.9),  # made smaller
    (5, 5, 17, 21),  # made larger
    (-20, -10, 60, 90),  # over the left and upper edge
    (300, 200, 400, 300),  # over the right and lower edge
    (319, 239, 320, 240),  # one pixel
]
# What a kernel sees on a GPU, for one thread at a time.
HARNESS = """
#include <math.h>
#define __device__ static
#define __global__ static
static struct {{ int x, y, z; }} blockIdx, blockDim = {{1, 1, 1}}, threadIdx;
static int min(int a, int b) {{ return a < b ? a : b; }}
static int max(int a, int b) {{ return a > b ? a : b; }}
#include "{source}"
#define TIMES(what, number) for (blockIdx.what = 0; blockIdx.what < number; blockIdx.what++)
#define EVERY_PIXEL TIMES(z, count) TIMES(y, height + 3) TIMES(x, width + 3)
void run_rgb(const void *frame, int pitch, const int *boxes, int count, void *crops, int height, int width)
{{ EVERY_PIXEL crop_rgb(frame, pitch, boxes, crops, height, width); }}
void run_nv12(const void *luma, const void *chroma, int pitch, const float *matrix, const int *boxes, int count,
              void *crops, int height, int width)
{{ EVERY_PIXEL crop_nv12(luma, chroma, pitch, matrix, boxes, crops, height, width); }}
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernel as a library of plain functions. Threads beyond the crop are run too, as on a GPU."""
    library = tmp_path_factory.mktemp("kernel") / "kernel.so"
    command = ["cc", "-shared", "-fPIC", "-O1", "-fsanitize=undefined", "-x", "c", "-", "-lm", "-o", str(library)]
    subprocess.run(command, input=HARNESS.format(source=SOURCE), text=True, check=True, timeout=60)
    return ctypes.CDLL(str(library))


def picture() -> NDArray[np.uint8]:
    """Coarse colours with fine noise: (240, 320, 3) uint8, RGB."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (15, 20, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    return np.clip(coarse + random.integers(-30, 31, coarse.shape), 0, 255).astype(np.uint8)


def nv12_of(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame as cameras and hardware decoders give it: luma rows, then rows of U and V by turns."""
    height, width = rgb.shape[:2]
    planes = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    u, v = planes[height:].reshape(2, height // 2, width // 2)
    return np.concatenate([planes[:height], np.stack([u, v], axis=-1).reshape(height // 2, width)])


def on_the_cpu(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same crops by the contract."""
    return crop_people(frame, BOXES, height_px=HEIGHT_PX, width_px=WIDTH_PX, rule="bilinear-half-pixel")


def largest_difference(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    """Largest absolute difference of two pictures, in grey levels."""
    return int(np.abs(found.astype(int) - expected).max())


def pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    """Address of an array for ctypes."""
    return ctypes.c_void_p(array.ctypes.data)


def test_crops_equal_the_contracts_within_one_grey_level(kernel: ctypes.CDLL) -> None:
    """Any box, inside or over the edge: the same pixels as on the CPU; OpenCV's weights have 11 bits, so one level."""
    frame = picture()
    boxes = whole_boxes(BOXES, height_px=FRAME_HEIGHT_PX, width_px=FRAME_WIDTH_PX)
    found = np.zeros((len(BOXES), HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    pitch = 3 * FRAME_WIDTH_PX
    kernel.run_rgb(pointer(frame), pitch, pointer(boxes), len(BOXES), pointer(found), HEIGHT_PX, WIDTH_PX)
    expected = on_the_cpu(frame)
    assert np.array_equal(found[0], expected[0])
    assert largest_difference(found, expected) <= 1


def test_nv12_crops_equal_converting_the_frame_first(kernel: ctypes.CDLL) -> None:
    """Colour conversion in the kernel gives what OpenCV's gives, whose matrix is BT.601, within one grey level."""
    frame = nv12_of(picture())
    boxes = whole_boxes(BOXES, height_px=FRAME_HEIGHT_PX, width_px=FRAME_WIDTH_PX)
    found = np.zeros((len(BOXES), HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    factors, chroma = nv12_factors("bt601"), frame[FRAME_HEIGHT_PX:]
    kernel.run_nv12(
        pointer(frame), pointer(chroma), FRAME_WIDTH_PX, pointer(factors), pointer(boxes), len(BOXES), pointer(found),
        HEIGHT_PX, WIDTH_PX,
    )  # fmt: skip
    converted = np.asarray(cv2.cvtColor(frame, cv2.COLOR_YUV2RGB_NV12), np.uint8)
    assert largest_difference(found, on_the_cpu(converted)) <= 1


def test_the_colour_factors_are_those_of_the_standards() -> None:
    """BT.601 and BT.709 for video range, as their texts round them."""
    np.testing.assert_allclose(nv12_factors("bt601"), [1.596, 0.392, 0.813, 2.017], atol=1e-3)
    np.testing.assert_allclose(nv12_factors("bt709"), [1.793, 0.213, 0.533, 2.112], atol=1e-3)


def test_no_boxes_make_no_rows() -> None:
    """A frame without people gives an empty table, not a wrong shape."""
    assert whole_boxes([], height_px=10, width_px=10).shape == (0, 4)


@pytest.mark.gpu
def test_the_gpu_gives_the_contracts_crops() -> None:
    """Compiled by CUDA's compiler and run on this GPU, RGB and NV12, into the buffer that an engine reads."""
    if reason := driver_unavailable():  # the tests above run the same source on the CPU
        pytest.skip(f"needs an NVIDIA driver: {reason}")
    frame = picture()
    converted = np.asarray(cv2.cvtColor(nv12_of(frame), cv2.COLOR_YUV2RGB_NV12), np.uint8)
    cuda = Cuda()
    with cuda.current():
        stream = cuda.driver.Stream()
        cropper = FrameCropper(cuda, height_px=HEIGHT_PX, width_px=WIDTH_PX, crops_max=len(BOXES))
        crops = Buffer(cuda, (len(BOXES), HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
        found = []
        cropper.crop_rgb(frame, BOXES, into=crops, stream=stream)
        crops.download(len(BOXES), stream=stream)
        stream.synchronize()
        found.append(crops.host.copy())
        cropper.crop_nv12(nv12_of(frame), BOXES, matrix="bt601", into=crops, stream=stream)
        crops.download(len(BOXES), stream=stream)
        stream.synchronize()
        found.append(crops.host.copy())
        cropper.free()
        crops.free()
    cuda.release()
    for pixels, source in zip(found, (frame, converted), strict=True):
        expected = on_the_cpu(source)
        assert largest_difference(pixels, expected) <= 1

"""The kernels' own source, compiled for the CPU and run thread by thread, beside the contract's functions."""

import hashlib
import re
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.nv12 import ColourMatrix, Nv12
from edge_runtime.contract.preprocess import Box, crop_people
from edge_runtime.contract.sharpness import sharpness
from edge_runtime.engine.tensorrt.cuda import Buffer, Cuda, driver_unavailable
from edge_runtime.engine.tensorrt.frame_cropper import FrameCropper, whole_boxes
from edge_runtime.engine.tensorrt.frame_fitter import FrameFitter
from edge_runtime.engine.tensorrt.frame_kernels import FRAME, PLACEMENT, PTX, SOURCE
from edge_runtime.people.device_input import place_on_device
from edge_runtime.people.input_fit import InputRule, Placement, fill_input, fit_into

SIZE = HEIGHT_PX, WIDTH_PX = 64, 32
BOXES: list[Box] = [
    (10, 20, 42, 84),  # of the network's own size
    (100.4, 30.6, 180.2, 238.9),  # made smaller
    (5, 5, 17, 21),  # made larger
    (-20, -10, 60, 90),  # over the left and upper edge
    (300, 200, 400, 300),  # over the right and lower edge
    (318, 238, 319, 239),  # one pixel
]
SIZES = [(240, 320), (239, 319)]


def rgb_picture(height_px: int, width_px: int) -> NDArray[np.uint8]:
    """Coarse colours with fine noise: (H, W, 3) uint8, RGB."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (15, 20, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    noisy = np.clip(coarse + random.integers(-30, 31, coarse.shape), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(noisy[:height_px, :width_px])


def nv12_picture(height_px: int, width_px: int, *, matrix: ColourMatrix = "bt601", full: bool = False) -> Nv12:
    """The same as a decoder gives it: odd sizes have half a pair of chroma more, and rows lie further apart."""
    picture = rgb_picture(240, 320)
    rows, columns = (height_px + 1) // 2, (width_px + 1) // 2
    luma = np.full((height_px, width_px + 29), 255, np.uint8)
    luma[:, :width_px] = picture[:height_px, :width_px, 1]
    chroma = np.full((rows, columns + 7, 2), 255, np.uint8)
    chroma[:, :columns] = picture[: 2 * rows : 2, : 2 * columns : 2, [0, 2]]
    return Nv12(luma[:, :width_px], chroma[:, :columns], matrix, full)


PICTURES: dict[str, Callable[[int, int], Nv12 | NDArray[np.uint8]]] = {
    "RGB": rgb_picture,
    "NV12": nv12_picture,
    "NV12, BT.709": lambda height, width: nv12_picture(height, width, matrix="bt709"),
    "NV12, full range": lambda height, width: nv12_picture(height, width, full=True),
}


def cropped(cuda: Cuda, frame: Nv12 | NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Crops and their sharpness, by the kernels."""
    stream = cuda.make_stream()
    cropper = FrameCropper(cuda, height_px=HEIGHT_PX, width_px=WIDTH_PX, crops_max=len(BOXES) + 1)
    crops = Buffer(cuda, (len(BOXES) + 1, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    cropper.crop(frame, BOXES, into=crops, stream=stream)
    crops.download(len(BOXES), stream=stream)
    sharp = cropper.measure_sharpness(crops, len(BOXES), stream=stream)
    found = crops.host[: len(BOXES)].copy()
    cropper.free()
    crops.free()
    return found, sharp


def fitted(
    cuda: Cuda, frames: list[Nv12 | NDArray[np.uint8]], rule: InputRule
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Inputs of 96 x 160 by the kernel, and by the CPU."""
    height, width, stream = 96, 160, cuda.make_stream()
    expected = np.empty((len(frames), 3, height, width), np.float32)
    placements = np.zeros(len(frames), PLACEMENT)
    for number, frame in enumerate(frames):
        is_nv12 = isinstance(frame, Nv12)
        size = (frame.height_px, frame.width_px) if isinstance(frame, Nv12) else frame.shape[:2]
        fit = fit_into(height, width, frame_px=(size[0], size[1]), placement=rule.placement)
        fill_input(frame, fit, rule=rule, planes=expected[number])
        placements[number] = place_on_device(fit, rule, is_nv12=is_nv12)
    fitter = FrameFitter(cuda, height_px=height, width_px=width, frames_max=len(frames))
    inputs = Buffer(cuda, expected.shape, dtype=np.float32)
    fitter.fit(frames, placements, into=inputs, stream=stream)
    inputs.download(len(frames), stream=stream)
    stream.synchronize()
    found = inputs.host.copy()
    fitter.free()
    inputs.free()
    return found, expected


def largest_difference(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> int:
    """Largest absolute difference of two pictures, in grey levels."""
    return int(np.abs(found.astype(int) - expected).max())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("picture", PICTURES)
def test_crops_equal_the_contracts_within_one_grey_level(cuda: Cuda, picture: str, size: tuple[int, int]) -> None:
    """Any box, inside or over the edge, of frames with odd sizes and any pitch; OpenCV's weights have 11 bits."""
    frame = PICTURES[picture](*size)
    found, _ = cropped(cuda, frame)
    expected = crop_people(frame, BOXES, height_px=HEIGHT_PX, width_px=WIDTH_PX, rule="bilinear-half-pixel")
    assert largest_difference(found, expected) <= 1


@pytest.mark.parametrize("picture", PICTURES)
def test_sharpness_is_exactly_the_contracts(cuda: Cuda, picture: str) -> None:
    """The kernel adds whole numbers, so nothing but the last division can differ."""
    crops, sharp = cropped(cuda, PICTURES[picture](240, 320))
    np.testing.assert_allclose(sharp, [sharpness(crop) for crop in crops], rtol=1e-5)


@pytest.mark.parametrize("placement", ["top-left", "centred", "stretched"])
@pytest.mark.parametrize("picture", PICTURES)
def test_a_letterbox_equals_the_detectors_input(cuda: Cuda, picture: str, placement: Placement) -> None:
    """Frames of two cameras, one of an odd size and one upright, in one launch; border and colours as the rule says.

    Luma that is off by one byte moves a colour by 1.2 and chroma by 2.1, so a few pixels may differ by four levels.
    """
    frames = [PICTURES[picture](239, 319), PICTURES[picture](200, 101)]
    rule = InputRule(placement, "BGR", range_max=255.0)
    found, expected = fitted(cuda, frames, rule)
    difference = np.abs(found - expected)
    assert difference.max() <= (1 if picture == "RGB" else 4)
    assert difference.mean() < 0.3
    assert (found[1, :, :, -20:] == 114).all() == (placement != "stretched")


def test_a_letterbox_is_normalised_as_the_rule_says(cuda: Cuda) -> None:
    """Mean and deviation of each colour, in the network's order."""
    rule = InputRule("centred", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    found, expected = fitted(cuda, [rgb_picture(240, 320)], rule)
    assert np.abs(found - expected).max() <= 1.01 / 255 / 0.224


def test_no_boxes_make_no_rows() -> None:
    """A frame without people gives an empty table, not a wrong shape."""
    assert whole_boxes([], height_px=10, width_px=10).shape == (0, 4)


def test_the_ptx_is_that_of_the_source() -> None:
    """It names the digest of the source it was made from, and has every kernel with the parameters that are passed."""
    ptx = PTX.read_text()
    assert hashlib.sha256(SOURCE.read_bytes()).hexdigest() in ptx, "run tests/golden/frame_kernels.py"
    found = {
        name: re.findall(r"\.param \.(\w+)", part) for name, part in re.findall(r"\.entry (\w+)\((.*?)\)", ptx, re.S)
    }
    pixels = ["u64", "u64", "u64", "u32", "u32"]
    assert found == {
        "crop_rgb": pixels, "crop_nv12": pixels, "letterbox": pixels, "sharpness_sums": ["u64", "u64", "u32", "u32"]
    }  # fmt: skip
    assert re.search(r"^\.version 6\.3\n\.target sm_53\n", ptx, re.M), "what the oldest promised driver takes"


def test_tables_for_the_kernels_are_laid_out_as_in_c() -> None:
    """80 and 60 bytes, without gaps."""
    assert (FRAME.itemsize, PLACEMENT.itemsize) == (80, 60)


@pytest.mark.gpu
@pytest.mark.parametrize("picture", PICTURES)
def test_the_gpu_gives_the_contracts_pictures(picture: str) -> None:
    """The shipped PTX on this GPU: crops, sharpness and letterbox of an odd size."""
    if reason := driver_unavailable():  # the tests above run the same source on the CPU
        pytest.skip(f"needs an NVIDIA driver: {reason}")
    frame = PICTURES[picture](239, 319)
    cuda = Cuda()
    with cuda.current():
        crops, sharp = cropped(cuda, frame)
        found, expected = fitted(cuda, [frame], InputRule("centred"))
    cuda.release()
    on_cpu = crop_people(frame, BOXES, height_px=HEIGHT_PX, width_px=WIDTH_PX, rule="bilinear-half-pixel")
    assert largest_difference(crops, on_cpu) <= 1
    np.testing.assert_allclose(sharp, [sharpness(crop) for crop in crops], rtol=1e-5)
    assert np.abs(found - expected).max() <= 4 / 255

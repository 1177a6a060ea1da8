"""The preprocessing rules, against PyTorch's resize and by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edge_runtime.contract.manifest import ResizeRule
from edge_runtime.contract.nv12 import Nv12
from edge_runtime.contract.preprocess import crop_people, pixel_box, read_image, resize

RULE: ResizeRule = "bilinear-half-pixel"


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("size", [(128, 64), (300, 77), (64, 32), (256, 128), (511, 129)])
@pytest.mark.parametrize(("rule", "mode"), [("bilinear-half-pixel", "bilinear"), ("bicubic-half-pixel", "bicubic")])
def test_resize_equals_pytorchs_within_one_grey_level(size: tuple[int, int], rule: ResizeRule, mode: str) -> None:
    """Half-pixel centres, no antialiasing: the rules that torch, ONNX Resize and a CUDA kernel can reproduce."""
    source = image(*size)
    planes = torch.from_numpy(source).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(planes, (256, 128), mode=mode, antialias=False).clamp(0, 255)
    found = resize(source, height_px=256, width_px=128, rule=rule)
    assert np.abs(found.astype(int) - expected[0].permute(1, 2, 0).numpy()).max() <= 1.0


def test_crops_come_in_the_order_of_their_boxes() -> None:
    """Each crop is its box, resized; no boxes give an empty batch of the right shape."""
    frame = image(100, 80)
    boxes = [(10.2, 20.7, 50.1, 90.0), (0.0, 0.0, 80.0, 100.0)]
    crops = crop_people(frame, boxes, height_px=64, width_px=32, rule=RULE)
    assert (crops[0] == resize(frame[20:90, 10:51], height_px=64, width_px=32, rule=RULE)).all()
    assert (crops[1] == resize(frame, height_px=64, width_px=32, rule=RULE)).all()
    assert crop_people(frame, [], height_px=64, width_px=32, rule=RULE).shape == (0, 64, 32, 3)


def test_crops_follow_the_manifests_rule() -> None:
    """A network that was trained on one rule is not fed by the other."""
    frame = image(100, 80)
    box = [(0.0, 0.0, 80.0, 100.0)]
    bicubic = crop_people(frame, box, height_px=64, width_px=32, rule="bicubic-half-pixel")
    assert (bicubic[0] == resize(frame, height_px=64, width_px=32, rule="bicubic-half-pixel")).all()
    assert (bicubic != crop_people(frame, box, height_px=64, width_px=32, rule=RULE)).any()


def test_crops_of_nv12_are_those_of_the_converted_frame() -> None:
    """Only the boxes are converted, to the same pixels, on odd borders and outside the frame too."""
    random = np.random.default_rng(0)
    luma = random.integers(0, 256, (101, 80), dtype=np.uint8)
    frame = Nv12(luma, random.integers(0, 256, (51, 40, 2), dtype=np.uint8), "bt709")
    boxes = [(10.2, 21.7, 51.1, 90.0), (0.0, 0.0, 80.0, 101.0), (-9.0, 33.0, 7.5, 200.0)]
    found = crop_people(frame, boxes, height_px=64, width_px=32, rule=RULE)
    assert (found == crop_people(frame.rgb(), boxes, height_px=64, width_px=32, rule=RULE)).all()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((-5, -5, 500, 500), (0, 0, 80, 100)),
        ((10.9, 10.9, 11.0, 11.0), (10, 10, 11, 11)),
        ((90, 120, 95, 130), (79, 99, 80, 100)),
        ((-9, -9, -1, -1), (0, 0, 1, 1)),
    ],
)
def test_boxes_are_cut_at_the_frame_and_keep_a_pixel(
    box: tuple[float, float, float, float], expected: tuple[int, int, int, int]
) -> None:
    """A tracker may predict a box outside; the crop must not be empty."""
    assert pixel_box(box, frame_height_px=100, frame_width_px=80) == expected


def test_a_png_that_is_called_jpeg_is_read(tmp_path: Path) -> None:
    """ImageNet has one; only a real JPEG must end as a JPEG does."""
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 4, 3), 90, np.uint8))
    (tmp_path / "grey.png").rename(tmp_path / "grey.JPEG")
    assert read_image(tmp_path / "grey.JPEG") is not None
    cv2.imwrite(str(tmp_path / "noise.jpg"), image(64, 64))
    (tmp_path / "cut.png").write_bytes((tmp_path / "noise.jpg").read_bytes()[:-600])
    assert read_image(tmp_path / "cut.png") is None


def test_images_are_read_as_rgb(tmp_path: Path) -> None:
    """OpenCV's own order is BGR."""
    cv2.imwrite(str(tmp_path / "red.png"), np.full((4, 4, 3), (0, 0, 255), np.uint8))
    found = read_image(tmp_path / "red.png")
    assert found is not None
    assert found[0, 0].tolist() == [255, 0, 0]

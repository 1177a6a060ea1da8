"""A teacher is anything that is scored, or a network of Open Model Zoo; its descriptors are computed once and kept."""

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import ConfigError, DataError, ManifestError
from edge_runtime.contract.manifest import Input
from tests.support.market_folder import pattern
from tests.support.small_checkpoint import write_checkpoint
from tests.support.tiny_network import LENGTH, write_tiny_network
from train.datasets.images import ImageArray
from train.models.teacher import Teacher, describe_all, open_teacher

IMAGES = ImageArray(np.stack([pattern(number, camera=1, copy=0) for number in range(3)]))
CHANNELS = 5


def write_ir(folder: Path, *, shape: tuple[int, ...] = (1, 3, 32, 16)) -> Path:
    """A network of Open Model Zoo's form: the mean of each channel of a linear map, in OpenVINO's own format."""
    openvino = pytest.importorskip("openvino")
    ops = openvino.opset13
    pixels = ops.parameter(shape, np.float32, name="data")
    weights = np.random.default_rng(0).standard_normal((CHANNELS, shape[1], 1, 1)).astype(np.float32)
    maps = ops.convolution(pixels, weights, [1, 1], [0, 0], [0, 0], [1, 1])
    model = openvino.Model([ops.reduce_mean(maps, [2, 3], False)], [pixels], "small")
    openvino.save_model(model, folder / "m.xml", compress_to_fp16=False)
    return folder / "m.xml"


def expected_of_ir(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the network of `write_ir` gives for an RGB image: it takes blue, green, red."""
    weights = np.random.default_rng(0).standard_normal((CHANNELS, 3, 1, 1)).astype(np.float32)
    resized = cv2.resize(image, (16, 32), interpolation=cv2.INTER_LINEAR)
    return np.asarray(weights[:, :, 0, 0] @ resized[:, :, ::-1].reshape(-1, 3).mean(axis=0))


def test_a_network_of_open_model_zoo_sees_blue_green_red_without_normalisation(tmp_path: Path) -> None:
    """1x3xHxW float 0-255; the tolerance is that of bfloat16, in which OpenVINO runs where the CPU has it."""
    with ExitStack() as stack:
        teacher = open_teacher(write_ir(tmp_path), stack)
        images = IMAGES.read([0, 1, 2], height_px=32, width_px=16, rule="bilinear-half-pixel")
        found = teacher.describe(images)
    assert (teacher.input_.height_px, teacher.input_.width_px) == (32, 16)
    expected = np.stack([expected_of_ir(image) for image in IMAGES.pixels])
    assert np.allclose(found, expected, atol=0.02 * np.abs(expected).max())


def test_a_network_of_another_input_is_refused(tmp_path: Path) -> None:
    """The sentence says what was expected and found; so does a file that is no network."""
    with ExitStack() as stack:
        with pytest.raises(ConfigError, match=r"expected one input f32 \[1,3,HEIGHT,WIDTH\].*found f32 \[1,1,32,16\]"):
            open_teacher(write_ir(tmp_path, shape=(1, 1, 32, 16)), stack)
        (tmp_path / "broken.xml").write_text("<net/>")
        with pytest.raises(ConfigError, match=r"OpenVINO cannot read .*broken\.xml"):
            open_teacher(tmp_path / "broken.xml", stack)


def test_whatever_can_be_scored_can_teach(tmp_path: Path) -> None:
    """An ONNX file and a checkpoint, by their manifests; a file without one is refused."""
    with ExitStack() as stack:
        onnx = open_teacher(write_tiny_network(tmp_path), stack)
        assert describe_all(onnx, IMAGES, cache=tmp_path / "onnx.npy").shape == (6, LENGTH)
        assert onnx.terms == "Apache-2.0"
        checkpoint = open_teacher(write_checkpoint(tmp_path, "osnet_x0_25"), stack)
        assert describe_all(checkpoint, IMAGES, cache=tmp_path / "checkpoint.npy").shape == (6, 512)
        (tmp_path / "model.pth.json").unlink()
        with pytest.raises(ManifestError, match="has no manifest"):
            open_teacher(tmp_path / "model.pth", stack)


def test_descriptors_are_of_unit_length_image_by_image_and_mirrored(tmp_path: Path) -> None:
    """Rows 2n and 2n + 1; the second call reads the cache and asks no network."""
    asked = []

    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        asked.append(len(images))
        return images[:, 0, :2].reshape(len(images), -1).astype(np.float32)  # the first two pixels

    teacher = Teacher("first pixels", "0" * 64, "none", Input(height_px=96, width_px=48), describe)
    rows = describe_all(teacher, IMAGES, cache=tmp_path / "kept" / "rows.npy")
    for number, image in enumerate(IMAGES.pixels.astype(np.float32)):
        for row, pixels in ((2 * number, image[0, :2]), (2 * number + 1, image[0, ::-1][:2])):
            assert np.allclose(rows[row], pixels.ravel() / np.linalg.norm(pixels))
    assert np.array_equal(describe_all(teacher, IMAGES, cache=tmp_path / "kept" / "rows.npy"), rows)
    assert asked == [6]


def test_a_teacher_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    """Before training, which could only say that its loss is none; nothing is kept of it."""

    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.full((len(images), 2), np.nan, np.float32)

    teacher = Teacher("broken", "0" * 64, "none", Input(height_px=96, width_px=48), describe)
    with pytest.raises(DataError, match="descriptors of teacher broken are not all finite numbers"):
        describe_all(teacher, IMAGES, cache=tmp_path / "rows.npy")
    assert not list(tmp_path.iterdir())

"""Images are decoded in order, by the manifest's rule, and every broken one is named."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.preprocess import read_image, resize
from tests.support.small_images import write_image
from train.datasets.images import ImageArray, ImageFiles, list_images, load_images
from train.datasets.samples import Sample


def samples(folder: Path, count: int) -> list[Sample]:
    """Images whose red tells their number."""
    return [
        Sample(write_image(folder / f"{number:03d}.png", (number, 0, 0)), number, camera_id=0)
        for number in range(count)
    ]


def test_images_come_resized_as_rgb_in_the_order_of_the_samples(tmp_path: Path) -> None:
    """Threads may finish in any order; OpenCV reads BGR, the network takes RGB."""
    given = samples(tmp_path, 40)[::-1]
    images = load_images(given, height_px=32, width_px=16)
    assert images.shape == (40, 32, 16, 3)
    assert images[:, 16, 8].tolist() == [[sample.identity, 0, 0] for sample in given]


def test_progress_counts_every_image(tmp_path: Path) -> None:
    """A progress bar ends at its total."""
    steps: list[int] = []
    load_images(samples(tmp_path, 5), height_px=8, width_px=4, progress=steps.append)
    assert steps == [1] * 5


@pytest.mark.parametrize("rule", ["bilinear-half-pixel", "bicubic-half-pixel"])
def test_images_are_resized_by_the_rule_asked_for(tmp_path: Path, rule: str) -> None:
    """Training sees what the camera's network will see."""
    noise = np.random.default_rng(0).integers(0, 256, (20, 10, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    source = read_image(tmp_path / "noise.png")
    assert source is not None
    expected = resize(source, height_px=32, width_px=16, rule=rule)
    given = Sample(tmp_path / "noise.png", 1, 0)
    assert (load_images([given], height_px=32, width_px=16, rule=rule)[0] == expected).all()
    assert (ImageFiles((given.path,)).read([0], height_px=32, width_px=16, rule=rule)[0] == expected).all()
    assert (ImageArray(source[None]).read([0], height_px=32, width_px=16, rule=rule)[0] == expected).all()


@pytest.mark.parametrize("damage", ["cut short", "empty", "text"])
def test_corrupt_images_among_good_ones_are_all_named(tmp_path: Path, damage: str) -> None:
    """OpenCV fills a truncated JPEG with grey and says nothing; we must not."""
    paths = [write_image(tmp_path / f"{number}.jpg") for number in range(8)]
    for path in paths[1:3]:
        whole = path.read_bytes()
        path.write_bytes({"cut short": whole[: len(whole) // 2], "empty": b"", "text": b"not an image"}[damage])
    with pytest.raises(DataError, match="2 of 8 images cannot be decoded") as caught:
        load_images([Sample(path, 1, 0) for path in paths], height_px=16, width_px=8)
    assert all(str(path) in str(caught.value) for path in paths[1:3])


def test_centred_images_lose_their_border(tmp_path: Path) -> None:
    """224 pixels of 256: 7/8 of the shorter side, in the shape asked for."""
    image = np.zeros((64, 96, 3), np.uint8)
    image[4:60, 20:76] = 255  # the centre: 56 of 64 rows, and as many columns
    cv2.imwrite(str(tmp_path / "framed.png"), image)
    files = ImageFiles((tmp_path / "framed.png",), centred=True)
    assert files.read([0], height_px=56, width_px=56, rule="bilinear-half-pixel").min() == 255


def test_hidden_files_and_other_kinds_are_no_images(tmp_path: Path) -> None:
    """macOS leaves `._0001.jpg` and Windows `Thumbs.db` in folders of pictures."""
    good = [write_image(tmp_path / name) for name in ("a.JPG", "b.png", "c.bmp", "d.webp")]
    (tmp_path / "._a.jpg").write_bytes(b"x")
    (tmp_path / "Thumbs.db").write_bytes(b"x")
    assert list_images(tmp_path) == good
    with pytest.raises(DataError, match="which is missing"):
        list_images(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected images .*empty, found none"):
        list_images(tmp_path / "empty")


def test_names_in_another_encoding_are_named(tmp_path: Path) -> None:
    """Linux allows any bytes; lists, manifests and logs are UTF-8, so such a name can be in none of them."""
    write_image(tmp_path / "a.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/M\xfcller.jpg")).write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 of 2 names in .* are not UTF-8, b'M\\xfcller\.jpg' for one; rename them"):
        list_images(tmp_path)

"""A cut image is found by its structure, whatever lies in it or behind it, and with every version of OpenCV."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.contract.preprocess import read_image
from edge_runtime.contract.whole_image import is_whole

SIZE = (96, 48)


def encoded(suffix: str, *options: int) -> bytes:
    """An image with much detail, so that a cut hits its pixels."""
    noise = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    done, data = cv2.imencode(suffix, noise, list(options))
    assert done
    return data.tobytes()


def telephone(folder: Path) -> bytes:
    """A progressive JPEG with a thumbnail in its EXIF data, restarts, and a second picture appended behind it."""
    thumbnail = encoded(".jpg", cv2.IMWRITE_JPEG_QUALITY, 10)
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00" + thumbnail
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (*SIZE, 3)).astype(np.uint8))
    picture.save(folder / "phone.jpg", exif=exif, progressive=True, restart_marker_blocks=2)
    return (folder / "phone.jpg").read_bytes()


FORMATS = [
    (".jpg",),
    (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    (".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
    (".png",),
    (".bmp",),
    (".webp",),
]


@pytest.mark.parametrize("kind", FORMATS, ids=str)
def test_every_cut_is_found_and_nothing_behind_the_end_matters(kind: tuple[str, int], tmp_path: Path) -> None:
    """From a cut in the header to one of the last byte."""
    data, path = encoded(*kind), tmp_path / "image"
    for appended in (b"", b"\x00" * 9000, b"\xff" * 9000, b"SEFHtelephone" * 900):
        path.write_bytes(data + appended)
        image = read_image(path)
        assert image is not None
        assert image.shape == (*SIZE, 3)
    for end in (*range(2, len(data), max(1, len(data) // 50)), len(data) - 1):
        path.write_bytes(data[:end])
        assert read_image(path) is None, f"cut to {end} of {len(data)} bytes"


def test_a_thumbnail_s_end_is_not_the_picture_s(tmp_path: Path) -> None:
    """Its end marker lies in the last bytes of a file that was cut soon after it."""
    data = telephone(tmp_path)
    assert read_image(tmp_path / "phone.jpg") is not None
    assert is_whole(data + encoded(".jpg"))
    for end in range(data.index(b"\xff\xd9") + 2, len(data), 97):
        (tmp_path / "cut.jpg").write_bytes(data[:end])
        assert read_image(tmp_path / "cut.jpg") is None, f"cut to {end} of {len(data)} bytes"


def test_what_is_no_known_format_is_left_to_the_decoder() -> None:
    """Such as TIFF."""
    assert is_whole(b"II*\x00")
    assert is_whole(b"")

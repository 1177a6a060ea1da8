"""Small data sets in Market-1501's layout whose people are coloured patterns."""

from pathlib import Path

import cv2
import numpy as np

SPLITS = ("bounding_box_train", "query", "bounding_box_test")


def write_market_folder(
    folder: Path, *, identities: int = 6, cameras: int = 2, images: int = 3, size: tuple[int, int] = (64, 32)
) -> Path:
    """Write `images` JPEG files per identity, camera and split. size: (height, width) in pixels. Returns the folder.

    An identity is a pair of colours, so that a network learns it in seconds; test identities follow the training ones.
    """
    random = np.random.default_rng(0)
    for split in SPLITS:
        (folder / split).mkdir(parents=True)
        first = 1 if split == "bounding_box_train" else identities + 1
        for identity in range(first, first + identities):
            colours = np.random.default_rng(identity).integers(30, 226, (2, 3))
            for camera in range(1, cameras + 1):
                for number in range(1 if split == "query" else images):
                    person = np.repeat(colours, size[0] // 2, axis=0)[:, None].repeat(size[1], axis=1)
                    noisy = np.clip(person + random.normal(0, 12, person.shape), 0, 255).astype(np.uint8)
                    name = f"{identity:04d}_c{camera}s1_{number:06d}_00.jpg"
                    cv2.imwrite(str(folder / split / name), noisy)
    return folder

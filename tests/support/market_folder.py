"""Small data sets in Market-1501's layout, of colour patterns: no picture of a person is needed."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def pattern(identity: int, *, camera: int, copy: int) -> NDArray[np.uint8]:
    """A colour pattern (96, 48, 3) uint8, RGB, that is alike for one identity and a little different per picture."""
    blocks = np.random.default_rng(identity).integers(0, 256, (6, 3, 3)).astype(np.uint8)
    image = cv2.resize(blocks, (48, 96), interpolation=cv2.INTER_LINEAR).astype(np.float32)
    rng = np.random.default_rng([identity, camera, copy])
    noisy = image * rng.uniform(0.8, 1.2) + rng.normal(0, 12, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def write_market_folder(root: Path, *, train: int = 4, test: int = 6, images: int = 3) -> Path:
    """Write `images` JPEG files per identity and camera, of two; of test identities the first one is the query.

    train, test: how many identities; those of the test follow those of the training. Returns `root`.
    """
    for identity in range(1, train + test + 1):
        for camera in (1, 2):
            for copy in range(images):
                split = "bounding_box_train" if identity <= train else "bounding_box_test"
                if split == "bounding_box_test" and copy == 0:
                    split = "query"
                path = root / split / f"{identity:04d}_c{camera}s1_{copy:06d}_00.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), cv2.cvtColor(pattern(identity, camera=camera, copy=copy), cv2.COLOR_RGB2BGR))
    return root

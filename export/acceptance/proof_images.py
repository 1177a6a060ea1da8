"""Images without people, on which a rewritten network must equal the one that it was made of."""

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import Input

_COUNT = 16


def proof_images(input_: Input) -> NDArray[np.uint8]:
    """(16, H, W, 3) uint8: seeded noise, coarse to fine; black, white and a checkerboard."""
    height, width = input_.height_px, input_.width_px
    random = np.random.default_rng(0)
    images = np.empty((_COUNT, height, width, 3), np.uint8)
    for index, image in enumerate(images):
        block = 1 << (index % 6)
        coarse = random.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
        image[:] = coarse.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    images[-3], images[-2] = 0, 255
    images[-1] = 255 * (np.indices((height, width)).sum(axis=0) % 2)[:, :, None]
    return images

"""The number rule behind the golden figures: one uniform stream per text key, and what is filled from it.

Fixed inputs for networks, images and scores can be rebuilt anywhere from these few lines of numpy.
"""

import zlib

import numpy as np
from numpy.typing import NDArray


def uniform(key: str, *shape: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) from the splitmix64 mixer over a counter that starts at the key's CRC-32."""
    crc = zlib.crc32(key.encode())
    with np.errstate(over="ignore"):
        z = np.uint64(crc * 2**32 + crc) + np.arange(1, int(np.prod(shape)) + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return ((z >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)


def symmetric(key: str, *shape: int) -> NDArray[np.float64]:
    """Numbers in [-1, 1)."""
    return 2 * uniform(key, *shape) - 1


def parameter(key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The value of one entry of a state dict, from its own key name."""
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.zeros(shape)
    if last in ("running_var", "gamma") or (last == "weight" and len(shape) == 1):
        return 0.5 + uniform(key, *shape)
    if last in ("running_mean", "bias"):
        return 0.1 * symmetric(key, *shape)
    return symmetric(key, *shape) * np.sqrt(3 * 1.2 / np.prod(shape[1:]))


def image(number: int, *, height: int, width: int) -> NDArray[np.float64]:
    """Image `number` of a batch, (3, height, width), already normalised."""
    rows, columns = 2 ** (number + 1), 2**number
    blocks = symmetric(f"image.{number}.blocks", 3, rows, columns)
    noise = symmetric(f"image.{number}.noise", 3, height, width)
    i = np.arange(height) * rows // height
    j = np.arange(width) * columns // width
    return 2 * blocks[:, i][:, :, j] + 0.25 * noise

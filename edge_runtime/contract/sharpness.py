"""How sharp a crop is, defined once: low where a person moved or is out of focus."""

import cv2
import numpy as np
from numpy.typing import NDArray


def sharpness(crop: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the grey crop, mirrored at its edges. crop: (H, W, 3) uint8, RGB."""
    return float(cv2.Laplacian(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.CV_32F).var())

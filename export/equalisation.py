"""The training images whose activations decide how scales are evened out."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from calibration.image_list import read_image_list
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.preprocess import read_image, resize

_IMAGES = 32


def equalisation_images(image_list: Path, data: Path, *, input_: Input) -> Tensor:
    """Images of a calibration list, spread over it: (at most 32, H, W, 3) uint8, as the network takes them.

    Raises:
        DataError: list or images cannot be used, or have changed.
    """
    names = read_image_list(image_list, data).images
    images = []
    for name in names[:: max(1, len(names) // _IMAGES)][:_IMAGES]:
        image = read_image(data / name)
        if image is None:
            raise DataError(
                f"the calibration image {data / name} cannot be decoded; replace it and make the list again"
            )
        images.append(resize(image, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize))
    return torch.from_numpy(np.stack(images))

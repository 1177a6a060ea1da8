"""What another toolkit's network wants of a pixel, declared by the user: order of colours, range, mean, deviation."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import Input, ResizeRule

ColoursOf = Literal["rgb", "bgr"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class PixelForm:
    """What a network wants of a pixel: (low + byte / 255 * (high - low) - mean) / std, in its own order of colours."""

    order: ColoursOf = "rgb"
    range: tuple[float, float] = (0.0, 1.0)
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    def of_bytes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation of bytes, (3,) each: the network wants (byte - mean) / deviation."""
        low, high = self.range
        step = (high - low) / 255
        return (np.asarray(self.mean) - low) / step, np.asarray(self.std) / step

    def apply(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, H, W, 3) uint8, RGB, to the values that the network wants, (N, H, W, 3), in its order of colours."""
        mean, deviation = self.of_bytes()
        colours = crops[..., ::-1] if self.order == "bgr" else crops
        return np.asarray((colours - mean) / deviation, np.float32)

    def as_input(self, height_px: int, width_px: int, *, resize: ResizeRule) -> Input:
        """The manifest's input: the pixels are RGB, with mean and deviation of pixels that are scaled to 0 to 1."""
        mean, deviation = ([float(value) / 255 for value in values] for values in self.of_bytes())
        if self.order == "bgr":
            mean, deviation = mean[::-1], deviation[::-1]
        return Input(
            height_px=height_px,
            width_px=width_px,
            mean=(mean[0], mean[1], mean[2]),
            std=(deviation[0], deviation[1], deviation[2]),
            resize=resize,
        )


PIXEL_FORMS: dict[str, PixelForm] = {
    "imagenet": PixelForm(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    "rgb-1": PixelForm(),
    "rgb-255": PixelForm(range=(0.0, 255.0)),
    "bgr-255": PixelForm(order="bgr", range=(0.0, 255.0)),
    "half": PixelForm(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
}
"""The forms that toolkits use: imagenet by Torchreid and BoxMOT, rgb-255 by exports with the normalisation inside (such
as fast-reid's), bgr-255 by Open Model Zoo, half (-1 to 1) by many vision transformers."""


def change_form(form: PixelForm, **given: object) -> PixelForm:
    """The form with what was given otherwise; None leaves a field as it is."""
    return replace(form, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]

"""The detector's input rule in the form of the GPU's kernel: where a frame lies, and what its bytes become."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_runtime.engine.tensorrt.frame_kernels import PLACEMENT
from edge_runtime.people.input_fit import GREY, Fit, InputRule, plane_factors


def place_on_device(fit: Fit, rule: InputRule, *, is_nv12: bool) -> NDArray[Any]:
    """A row of PLACEMENT that does what `fill_input` does."""
    row = np.zeros((), PLACEMENT)
    row["left"], row["top"] = (int(offset) for offset in fit.offset)
    row["size"], row["is_nv12"], row["grey"] = fit.size_px, is_nv12, GREY
    row["source"] = rule.channels
    factors = [plane_factors(rule, channel) for channel in range(3)]
    row["scale"], row["shift"] = zip(*factors, strict=True)
    return row

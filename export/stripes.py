"""Whether the maps of a network can be cut into equal stripes: ONNX has no name for stripes that overlap."""

import math

import torch
from torch import Tensor, nn

from edge_runtime.contract.errors import ExportError
from train.checkpoint import LoadedNetwork

_MAP_STRIDE_PX = 16  # image rows per row of the maps that PLR-OSNet, MGN and Pyramid cut


def check_stripes(source: LoadedNetwork) -> None:
    """Run the network once at its input size and look at every pool that cuts a map.

    Raises:
        ExportError: a map's rows are no multiple of its stripes.
    """
    counts: list[int] = []
    uneven: list[tuple[int, int]] = []

    def look(pool: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        size = pool.output_size
        count = size[0] if isinstance(size, tuple) else 1
        rows = inputs[0].shape[2]
        counts.append(count)
        if rows % count:
            uneven.append((rows, count))

    pools = [m for m in source.network.modules() if isinstance(m, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)]
    hooks = [pool.register_forward_pre_hook(look) for pool in pools]
    input_ = source.manifest.input
    try:
        with torch.inference_mode():
            source.network(torch.zeros(1, 3, input_.height_px, input_.width_px))
    finally:
        for hook in hooks:
            hook.remove()
    if uneven:
        rows, count = uneven[0]
        raise ExportError(
            f"{source.manifest.architecture} cannot be exported at a height of {input_.height_px} pixels: its maps "
            f"have {rows} rows then, which make no {count} equal stripes; use a multiple of "
            f"{_MAP_STRIDE_PX * math.lcm(*counts)} pixels"
        )

"""Whether the maps of a network divide into equal stripes: other stripes cannot be exported."""

import math

import torch
from torch import Tensor, nn

from edge_runtime.contract.errors import ExportError
from train.models.checkpoint import LoadedNetwork

_MAP_STRIDE_PX = 16  # image rows per row of the maps that PLR-OSNet, MGN and Pyramid cut


def find_stripe_fault(network: nn.Module, *, height_px: int, width_px: int) -> str | None:
    """A sentence on what is wrong with this input height, and which heights are right; None if all stripes are equal.

    network: in eval mode; it runs once, on a black image.
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

    pools = [m for m in network.modules() if isinstance(m, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d)]
    hooks = [pool.register_forward_pre_hook(look) for pool in pools]
    try:
        with torch.inference_mode():
            network(torch.zeros(1, 3, height_px, width_px, device=next(network.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    if not uneven:
        return None
    rows, count = uneven[0]
    return (
        f"at a height of {height_px} pixels its maps have {rows} rows, which make no {count} equal stripes; "
        f"use a multiple of {_MAP_STRIDE_PX * math.lcm(*counts)} pixels"
    )


def check_stripes(source: LoadedNetwork) -> None:
    """Refuse an input height at which the network's stripes are unequal.

    Raises:
        ExportError: a map's rows are no multiple of its stripes.
    """
    input_ = source.manifest.input
    fault = find_stripe_fault(source.network, height_px=input_.height_px, width_px=input_.width_px)
    if fault is not None:
        raise ExportError(f"{source.manifest.architecture} cannot be exported: {fault}")

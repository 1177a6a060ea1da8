"""Parameters and multiply-adds of a network, counted the way the OSNet paper counts them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Complexity:
    """Test-time cost: classifiers do not run in eval mode and are not counted.

    parameters: every parameter that runs, once (the paper's counter counts the shared gate four times).
    mult_adds: one per weight application in convolutions and linear layers, plus one per bias addition; norms,
    activations, pooling and element-wise products are left out. A layer that runs four times counts four times.
    """

    parameters: int
    mult_adds: int


def measure(network: nn.Module, *, height_px: int, width_px: int) -> Complexity:
    """Count the cost of one image in eval mode.

    Source: OSNet paper, table 6, whose 16 figures this counter reproduces.
    """
    mult_adds = 0
    used: dict[int, int] = {}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal mult_adds
        used.update({id(p): p.numel() for p in module.parameters(recurse=False)})
        if isinstance(module, nn.Conv2d | nn.Linear):
            mult_adds += output.numel() * (module.weight[0].numel() + (module.bias is not None))

    was_training = network.training
    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [module.register_forward_hook(count) for module in leaves]
    try:
        with torch.inference_mode():
            network.eval()(torch.zeros(1, 3, height_px, width_px))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    return Complexity(sum(used.values()), mult_adds)

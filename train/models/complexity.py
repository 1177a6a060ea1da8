"""Parameters and multiply-adds of a network, counted the way the OSNet paper counts them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

_NORMS = nn.BatchNorm1d | nn.BatchNorm2d | nn.InstanceNorm2d


@dataclass(frozen=True)
class Complexity:
    """Test-time cost of one image: classifiers do not run in eval mode and are not counted.

    parameters: every parameter that runs, once (the paper's counter counts the shared gate four times).
    mult_adds: one per weight application in convolutions and linear layers, plus one per bias addition. A layer that
        runs four times counts four times.
    norm_mult_adds: one per output of a normalisation. The OSNet paper counts them in table 10 (ImageNet) and, except
        for 0.7 million, for full convolutions (section 3.3), and nowhere else; deployment folds them into convolutions.
    attention_mult_adds: for products of two activations, which the papers do not count.
    """

    parameters: int
    mult_adds: int
    norm_mult_adds: int
    attention_mult_adds: int


def measure_complexity(network: nn.Module, *, height_px: int, width_px: int) -> Complexity:
    """Count the cost of one image in eval mode.

    Source: OSNet paper, table 6, whose 16 figures this counter reproduces.
    """
    used: dict[int, int] = {}
    weighted = biases = norms = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: PLR0917 - PyTorch's form of a hook
        nonlocal weighted, biases, norms
        used.update({id(p): p.numel() for p in module.parameters(recurse=False)})
        if isinstance(module, nn.Conv2d | nn.Linear):
            weighted += output.numel() * module.weight[0].numel()
            biases += output.numel() if module.bias is not None else 0
        elif isinstance(module, _NORMS):
            norms += output.numel()

    was_training = network.training
    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as products:
            network.eval()(torch.zeros(1, 3, height_px, width_px))
    finally:
        network.train(was_training)
        for hook in hooks:
            hook.remove()
    attention = products.get_total_flops() // 2 - weighted  # torch counts products only, two operations each
    return Complexity(sum(used.values()), weighted + biases, norms, attention)

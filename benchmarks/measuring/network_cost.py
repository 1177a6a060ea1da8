"""What a network costs per image, layer by layer."""

from torch import Tensor, nn

from benchmarks.measuring.roofline import Cost, Layer
from train.models import complexity


def cost_of(network: nn.Module, *, height_px: int, width_px: int) -> Cost:
    """Count one image through a network in eval mode."""
    layers: list[Layer] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            weights = module.weight.numel()
            each = output.numel() * module.weight[0].numel()
            layers.append(Layer(each, weights, inputs[0].numel() + output.numel()))

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        total = complexity.measure(network, height_px=height_px, width_px=width_px).mult_adds
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(total, tuple(layers))

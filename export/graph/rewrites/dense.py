"""*dense*: a 1x1 convolution and the depthwise convolution after it become one full convolution."""

import torch
from torch import fx, nn

from export.graph.rewrites.convolutions import is_depthwise
from export.graph.rewrites.graph import finish, module_of, source_of


def compose_light_convolutions(traced: fx.GraphModule) -> None:
    """Compose each 1x1 convolution without bias with the depthwise convolution that is its only reader, in float64.

    W[o, i, y, x] = depthwise[o, y, x] * pointwise[o, i]. Exact at the border too, because without a bias zeros stay
    zeros. This is more arithmetic, but tensor cores can do it, and one tensor less is written and read.
    """
    for node in traced.graph.nodes:
        depthwise = module_of(traced, node)
        if not isinstance(depthwise, nn.Conv2d) or not is_depthwise(depthwise):
            continue
        source = source_of(node)
        pointwise = module_of(traced, source)
        if isinstance(pointwise, nn.Conv2d) and _mixes_without_bias(pointwise) and len(source.users) == 1:
            traced.add_submodule(str(node.target), _composed(pointwise, depthwise))
            source.replace_all_uses_with(source_of(source))
            traced.graph.erase_node(source)
    finish(traced)


def _mixes_without_bias(conv: nn.Conv2d) -> bool:
    """Whether it is a 1x1 convolution, grouped or not, without bias, stride and padding."""
    return (conv.kernel_size, conv.stride, conv.padding, conv.bias) == ((1, 1), (1, 1), (0, 0), None)


def _composed(pointwise: nn.Conv2d, depthwise: nn.Conv2d) -> nn.Conv2d:
    full = nn.Conv2d(
        pointwise.in_channels,
        depthwise.out_channels,
        depthwise.kernel_size,  # type: ignore[arg-type]
        stride=depthwise.stride,  # type: ignore[arg-type]
        padding=depthwise.padding,  # type: ignore[arg-type]
        groups=pointwise.groups,
        bias=depthwise.bias is not None,
    )
    with torch.no_grad():
        full.weight.copy_(depthwise.weight.double() * pointwise.weight.double())
        if full.bias is not None:
            full.bias.copy_(depthwise.bias)  # type: ignore[arg-type]
    return full

"""Questions about convolutions, and one convolution that does the work of several."""

import torch
from torch import Tensor, nn


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether each channel is filtered separately."""
    return conv.groups == conv.in_channels == conv.out_channels > 1


def is_1x1(conv: nn.Conv2d) -> bool:
    """Whether it is an ungrouped 1x1 convolution of stride 1, without padding."""
    return (conv.kernel_size, conv.stride, conv.padding, conv.groups) == ((1, 1), (1, 1), (0, 0), 1)


def join_convolutions(convs: list[nn.Conv2d], *, shares_input: bool = False) -> nn.Conv2d:
    """One convolution that does the work of several of the same shape; its output is theirs, concatenated.

    shares_input: whether all of them read the same tensor; otherwise the new one reads their inputs concatenated, as
    one group each.
    """
    first = convs[0]
    inputs = 1 if shares_input else len(convs)
    together = nn.Conv2d(
        first.in_channels * inputs,
        first.out_channels * len(convs),
        first.kernel_size,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        groups=first.groups * inputs,
        bias=first.bias is not None,
    )
    with torch.no_grad():
        together.weight.copy_(torch.cat([conv.weight for conv in convs]))
        if together.bias is not None:
            together.bias.copy_(torch.cat([_bias(conv) for conv in convs]))
    return together


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias

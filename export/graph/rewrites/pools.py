"""2x2 mean pools as convolutions: by themselves, or as part of the 1x1 convolutions that read them."""

import torch
from torch import Tensor, fx, nn

from export.graph.rewrites.convolutions import is_1x1
from export.graph.rewrites.graph import finish, module_of, source_of


def replace_mean_pools(traced: fx.GraphModule) -> None:
    """Replace each 2x2 mean pool by a depthwise convolution with weights of 1/4, which INT8 backends run faster."""
    for node in traced.graph.nodes:
        channels = _channels(traced, node) if _is_mean_pool(traced, node) else None
        if channels is not None:
            pool = nn.Conv2d(channels, channels, 2, stride=2, groups=channels, bias=False)
            nn.init.constant_(pool.weight, 0.25)
            traced.add_submodule(str(node.target), pool)
    finish(traced)


def compose_mean_pools(traced: fx.GraphModule) -> None:
    """Compose each 2x2 mean pool with the 1x1 convolutions that read it into 2x2 convolutions.

    Small layers get four times the arithmetic, but one step and one tensor less: this is for GPUs.
    """
    for node in list(traced.graph.nodes):
        readers = [module_of(traced, reader) for reader in node.users]
        if not _is_mean_pool(traced, node) or not all(
            isinstance(reader, nn.Conv2d) and is_1x1(reader) for reader in readers
        ):
            continue
        for reader, conv in zip(list(node.users), readers, strict=True):
            assert isinstance(conv, nn.Conv2d)
            traced.add_submodule(str(reader.target), _with_pool(conv))
            reader.replace_input_with(node, source_of(node))
    finish(traced)


def _is_mean_pool(traced: fx.GraphModule, node: fx.Node) -> bool:
    pool = module_of(traced, node)
    return (
        isinstance(pool, nn.AvgPool2d)
        and pool.kernel_size in (2, (2, 2))
        and pool.stride in (2, (2, 2))
        and pool.padding in (0, (0, 0))
        and not pool.ceil_mode
    )


def _channels(traced: fx.GraphModule, node: fx.Node) -> int | None:
    """The number of channels of a step: that of the convolution before it; None if there is more than one path back."""
    while node.op != "placeholder" and node.all_input_nodes:
        conv = module_of(traced, node)
        if isinstance(conv, nn.Conv2d):
            return conv.out_channels
        if len(node.all_input_nodes) > 1:
            return None
        node = source_of(node)
    return None


def _with_pool(conv: nn.Conv2d) -> nn.Conv2d:
    pooled = nn.Conv2d(conv.in_channels, conv.out_channels, 2, stride=2, groups=conv.groups, bias=conv.bias is not None)
    pooled.weight = nn.Parameter(_quartered(conv.weight))
    pooled.bias = conv.bias
    return pooled


def _quartered(weight: Tensor) -> Tensor:
    return torch.tile(weight.detach() / 4, (1, 1, 2, 2))

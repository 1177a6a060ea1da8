"""*end*: the streams of an omni-scale block run together in one tensor, aligned at their last layers."""

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from export.graph.rewrites.convolutions import is_1x1, is_depthwise, join_convolutions
from export.graph.rewrites.graph import finish, gate_calls, is_addition, is_relu, module_of, source_of
from train.models.osnet import ChannelGate


@dataclass(frozen=True)
class _Stream:
    """Lite layers in order, each a 1x1 and a depthwise convolution before a ReLU. start: the step they read."""

    start: fx.Node
    layers: tuple[tuple[nn.Conv2d, nn.Conv2d], ...]


class AlignedGate(nn.Module):
    """A shared channel gate on k streams that are concatenated in one tensor, and the sum of the gated streams."""

    def __init__(self, gate: ChannelGate, *, streams: int) -> None:
        """gate: the one that the streams share. streams: how many they are, k."""
        super().__init__()
        self.streams, self.channels = streams, gate.fc1.in_channels
        self.fc1 = join_convolutions([gate.fc1] * streams)
        self.fc2 = join_convolutions([gate.fc2] * streams)

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, kC, H, W). Returns (N, C, H, W)."""
        pooled = nn.functional.adaptive_avg_pool2d(x, 1)  # (N, kC, 1, 1)
        gated = x * torch.sigmoid(self.fc2(torch.relu(self.fc1(pooled))))
        parts = torch.split(gated, self.channels, dim=1)  # each (N, C, H, W)
        total = parts[0]
        for index in range(1, self.streams):
            total = total + parts[index]
        return total


def align_streams(traced: fx.GraphModule) -> None:
    """Run the streams of each block level by level, with one pooling, one gate and one sum for all of them.

    Levels are counted from the end, so that all streams end in the last level. The input of a level is the level
    before, concatenated with the block's input once per stream that starts here. One grouped 1x1 and one depthwise
    convolution do the work of all streams in the level.
    """
    for target, calls in gate_calls(traced).items():
        streams = sorted((_stream(traced, source_of(call)) for call in calls), key=lambda s: len(s.layers))
        total = _sum_of(calls)
        is_block = len({stream.start for stream in streams}) == 1 and all(stream.layers for stream in streams)
        if total is None or not is_block:
            continue
        gate = module_of(traced, calls[0])
        assert isinstance(gate, ChannelGate)
        with traced.graph.inserting_before(calls[0]):
            ends = _run_levels(traced, streams, name=f"{target}_streams")
            traced.add_submodule(target, AlignedGate(gate, streams=len(streams)))
            together = traced.graph.call_module(target, (ends,))
        total.replace_all_uses_with(together)
    finish(traced)


def _run_levels(traced: fx.GraphModule, streams: list[_Stream], *, name: str) -> fx.Node:
    """Insert the levels. streams: the shortest first. Returns the last step: their ends, concatenated in this order."""
    graph, start, depth = traced.graph, streams[0].start, len(streams[-1].layers)
    before: fx.Node | None = None
    for level in range(depth):
        running = [s.layers[level - depth + len(s.layers)] for s in streams if len(s.layers) >= depth - level]
        starting = sum(len(stream.layers) == depth - level for stream in streams)
        pointwise, depthwise = f"{name}.level{level + 1}_pointwise", f"{name}.level{level + 1}_depthwise"
        x = start
        if before is None:  # all of them read the same tensor: one ungrouped convolution with more outputs
            traced.add_submodule(pointwise, join_convolutions([layer[0] for layer in running], shares_input=True))
        else:
            x = graph.call_function(torch.cat, ([start] * starting + [before], 1)) if starting else before
            traced.add_submodule(pointwise, join_convolutions([layer[0] for layer in running]))
        traced.add_submodule(depthwise, join_convolutions([layer[1] for layer in running]))
        x = graph.call_module(depthwise, (graph.call_module(pointwise, (x,)),))
        before = graph.call_function(torch.relu, (x,))
    assert before is not None
    return before


def _stream(traced: fx.GraphModule, end: fx.Node) -> _Stream:
    """The stream that ends at this step: its Lite layers that no other step reads."""
    layers: list[tuple[nn.Conv2d, nn.Conv2d]] = []
    while len(end.users) == 1 and is_relu(traced, end):
        second = source_of(end)
        depthwise = module_of(traced, second)
        if not _is_lite_depthwise(depthwise) or len(second.users) > 1:
            break
        first = source_of(second)
        pointwise = module_of(traced, first)
        if (
            not isinstance(pointwise, nn.Conv2d)
            or not is_1x1(pointwise)
            or pointwise.bias is not None
            or len(first.users) > 1
        ):
            break
        assert isinstance(depthwise, nn.Conv2d)
        layers.insert(0, (pointwise, depthwise))
        end = source_of(first)
    return _Stream(end, tuple(layers))


def _is_lite_depthwise(module: nn.Module | None) -> bool:
    return (
        isinstance(module, nn.Conv2d)
        and is_depthwise(module)
        and (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
        and module.bias is not None
    )


def _sum_of(calls: list[fx.Node]) -> fx.Node | None:
    """The step that adds up exactly these calls, each once; None if there is none."""
    total = calls[0]
    while len(total.users) == 1 and is_addition(next(iter(total.users))):
        total = next(iter(total.users))
        if Counter(_terms(total)) == Counter(calls):
            return total
    return None


def _terms(value: object) -> list[object]:
    """The terms of an addition, also of nested ones."""
    if not isinstance(value, fx.Node) or not is_addition(value):
        return [value]
    return [term for argument in value.args for term in _terms(argument)]

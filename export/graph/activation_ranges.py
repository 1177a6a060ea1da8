"""The largest activations of a network, which show whether float16 can hold them."""

from collections.abc import Iterable

import torch
from torch import Tensor, fx

from export.graph.rewrites.graph import trace_steps

LARGEST_HALF = 65504.0
"""The largest float16 number."""


def largest_activations(deployed: fx.GraphModule, images: Tensor) -> dict[str, float]:
    """The largest absolute value per child module of the network, in order of execution.

    images: (N, H, W, channels) uint8.
    """
    steps = _Watched(trace_steps(deployed))
    with torch.inference_mode():
        steps.run(images)
    return steps.largest


class _Watched(fx.Interpreter):
    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.largest: dict[str, float] = {}
        self._group = "pixels"

    def run_node(self, n: fx.Node) -> object:
        if n.op == "call_module":
            self._group = str(n.target).removeprefix("network.").partition(".")[0]
        result = super().run_node(n)
        for tensor in _tensors(result):
            found = float(tensor.abs().max())
            self.largest[self._group] = max(found, self.largest.get(self._group, 0.0))
        return result


def _tensors(result: object) -> Iterable[Tensor]:
    values = result if isinstance(result, tuple | list) else (result,)
    return (value for value in values if isinstance(value, Tensor) and value.is_floating_point())

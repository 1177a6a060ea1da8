"""The network as it is deployed: uint8 pixels in, normalised inside, rewritten exactly, one raw descriptor out."""

from torch import Tensor, fx, nn

from edge_runtime.contract.manifest import Input
from export.graph.rewrites.batch_norms import fold_batch_norms
from export.graph.rewrites.dense import compose_light_convolutions
from export.graph.rewrites.gate_stacking import stack_gates
from export.graph.rewrites.graph import Rewrite, trace
from export.graph.rewrites.half import to_half_precision
from export.graph.rewrites.pixel_steps import NormalisedPixels
from export.graph.rewrites.pools import compose_mean_pools, replace_mean_pools
from export.graph.rewrites.reductions import share_maxima, stack_reductions
from export.graph.rewrites.stem_folding import fold_normalisation_of_four_channels, fold_standard_deviation
from export.graph.rewrites.streams import align_streams
from export.graph.variants import Graph

_ALWAYS: tuple[Rewrite, ...] = (fold_batch_norms, fold_standard_deviation, share_maxima, stack_reductions)
GRAPHS: dict[Graph, tuple[Rewrite, ...]] = {
    "plain": (),
    "stack": (*_ALWAYS, stack_gates, replace_mean_pools),
    "end": (*_ALWAYS, align_streams, stack_gates, compose_mean_pools),
    "dense": (*_ALWAYS, stack_gates, compose_light_convolutions, compose_mean_pools),
    "end_dense": (*_ALWAYS, align_streams, stack_gates, compose_light_convolutions, compose_mean_pools),
}
"""The rewrites of each graph, in order. All graphs of a network compute the same function."""


class DeployedNetwork(nn.Module):
    """forward(pixels: (N, H, W, 3) uint8, RGB) gives descriptors (N, D) float32, not L2-normalised."""

    def __init__(self, network: nn.Module, input_: Input) -> None:
        super().__init__()
        self.pixels = NormalisedPixels(input_)
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        descriptors: Tensor = self.network(self.pixels(pixels))  # (N, D)
        return descriptors


def deploy(network: nn.Module, input_: Input, *, graph: Graph) -> fx.GraphModule:
    """Rewrite a trained network for inference, in eval mode; `network` itself stays as it is.

    input_: what the graph takes; mean and std move into it, into the stem's weights where the pixels are RGBA.

    Raises:
        ExportError: the pixels are RGBA, and the network does not start with one convolution.
    """
    traced = trace(DeployedNetwork(network, input_))
    if input_.colour_order == "RGBA":
        fold_normalisation_of_four_channels(traced)
    for rewrite in GRAPHS[graph]:
        rewrite(traced)
    return traced


def deploy_in_half_precision(network: nn.Module, input_: Input, *, graph: Graph) -> fx.GraphModule:
    """`deploy`, in float16 but for pixels, long sums and descriptor."""
    return to_half_precision(deploy(network, input_, graph=graph))

"""The network as it is deployed: uint8 pixels in, normalised inside, rewritten exactly, raw descriptors out."""

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
"""The rewrites of each graph, in this order. All graphs of a network compute the same function."""


class DeployedNetwork(nn.Module):
    """A network with the normalisation of pixels in front of it."""

    def __init__(self, network: nn.Module, input_: Input) -> None:
        """input_: its mean, standard deviation and width are used."""
        super().__init__()
        self.pixels = NormalisedPixels(input_)
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: (N, H, W, 3) uint8, RGB. Returns descriptors (N, D) float32, not L2-normalised."""
        descriptors: Tensor = self.network(self.pixels(pixels))  # (N, D)
        return descriptors


def deploy(network: nn.Module, input_: Input, *, graph: Graph) -> fx.GraphModule:
    """Rewrite a trained network for inference, in eval mode; `network` itself is not changed.

    input_: what the graph takes. Mean and std become part of the graph; with RGBA pixels, of the stem's weights.

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
    """The result of `deploy` in float16, except pixels, long sums and descriptors."""
    return to_half_precision(deploy(network, input_, graph=graph))

"""Batch norms become part of the layer before them."""

from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from export.graph.rewrites.graph import finish, module_of, source_of


def fold_batch_norms(traced: fx.GraphModule) -> None:
    """Multiply each batch norm into the convolution or linear layer before it, in float64."""
    for node in traced.graph.nodes:
        norm = module_of(traced, node)
        if not isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
            continue
        source = source_of(node)
        layer = module_of(traced, source)
        if isinstance(layer, nn.Conv2d | nn.Linear) and len(source.users) == 1:
            traced.add_submodule(str(source.target), _folded(layer, norm))
            node.replace_all_uses_with(source)
            traced.graph.erase_node(node)
    finish(traced)


def _folded(layer: nn.Conv2d | nn.Linear, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> nn.Module:
    layer, norm = layer.double(), norm.double()
    folded = fuse_conv_bn_eval(layer, norm) if isinstance(layer, nn.Conv2d) else fuse_linear_bn_eval(layer, norm)
    return folded.float()

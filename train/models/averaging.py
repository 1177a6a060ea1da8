"""One network from two: their weights averaged, its batch norms' statistics taken anew from images.

Source: M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (weights between a network and the one
fine-tuned from it find more than either where nobody trained); P. Izmailov et al., "Averaging weights leads to wider
optima and better generalization", UAI 2018, section 3 (statistics of batch norms are measured again).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from train.models.weights import CLASSIFIER, StateDict

_BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d)


def average(first: StateDict, second: StateDict, *, share: float) -> StateDict:
    """Weights between those of two networks of one architecture, without their classifiers.

    share: of the second network, from 0 to 1. Counters are the first network's.
    """
    return {
        key: torch.lerp(value, second[key], share) if value.is_floating_point() else value
        for key, value in first.items()
        if not key.startswith(CLASSIFIER)
    }


def renew_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set mean and variance of each batch norm to those of the images; the network is in eval mode afterwards.

    A batch norm's statistics are those of what comes before it, and averaged weights give other values than either
    network's. batches: normalised images (N, 3, H, W); each counts alike.
    """
    norms = [module for module in network.eval().modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches, in place of a moving one
        norm.train()
    with torch.no_grad():
        for images in batches:
            network(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()

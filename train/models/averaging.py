"""One network from two: their weights averaged, its batch norms' statistics taken anew from images.

Source: M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022 (weights between a network and the one
fine-tuned from it find more than either where nobody trained); P. Izmailov et al., "Averaging weights leads to wider
optima and better generalization", UAI 2018, section 3 (statistics of batch norms are measured again).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Input, Manifest, Terms, write_manifest
from train.datasets.images import ImageFiles
from train.models.checkpoint import LoadedNetwork, checkpoint_manifest, load_network, save
from train.models.pixels import normalise_pixels
from train.models.weights import CLASSIFIER, StateDict, load_all_but_classifiers

_BATCH = 64
_BatchNorm = (nn.BatchNorm1d, nn.BatchNorm2d)


def average_checkpoints(
    first: Path, second: Path, *, share: float, crops: Sequence[Path], images: int, path: Path
) -> None:
    """Write the average of two checkpoints, without a classifier, to `path`, and its manifest beside it.

    share: of the second. crops: image files, of which `images` give the statistics of batch norms.

    Raises:
        ConfigError: the networks differ in architecture, input or descriptor.
        DataError: there are too few crops, or one cannot be decoded.
        ManifestError, CheckpointError: see `load_network`.
    """
    one, other = load_network(first), load_network(second)
    _check_alike(one.manifest, other.manifest)
    network = one.network
    weights = average(network.state_dict(), other.network.state_dict(), share=share)
    load_all_but_classifiers(network, weights, source=second)
    renew_statistics(network, _batches(crops, one.manifest.input, images=images))
    save({"state_dict": {key: network.state_dict()[key].contiguous() for key in weights}}, path)
    write_manifest(_manifest(path, one, second=other.manifest, share=share), path)


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


def _check_alike(first: Manifest, second: Manifest) -> None:
    """Refuse two networks whose weights do not belong together."""
    for name, one, other in (
        ("architecture", first.architecture, second.architecture),
        ("input", first.input, second.input),
        ("descriptor", first.descriptor, second.descriptor),
    ):
        if one != other:
            raise ConfigError(f"expected two networks of the same {name}, found {one} and {other}")


def _batches(paths: Sequence[Path], input_: Input, *, images: int) -> Iterator[Tensor]:
    """Batches of images that are drawn evenly from all, in a fixed random order."""
    if len(paths) < _BATCH:
        raise DataError(f"expected {_BATCH} crops or more in --data, found {len(paths)}; statistics need many")
    chosen = np.unique(np.linspace(0, len(paths) - 1, max(images, _BATCH)).astype(np.int64))
    order = np.random.default_rng(0).permutation(chosen)
    files = ImageFiles(tuple(paths))
    for positions in np.array_split(order, len(order) // _BATCH):
        pixels = files.read(positions, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize)
        yield normalise_pixels(torch.from_numpy(pixels).permute(0, 3, 1, 2), input_)


def _manifest(path: Path, first: LoadedNetwork, *, second: Manifest, share: float) -> Manifest:
    one = first.manifest
    return checkpoint_manifest(
        path,
        first.network,
        architecture=one.architecture,
        data_set="average",
        recipe=f"{1 - share:g} of {one.model_id} ({one.recipe}), {share:g} of {second.model_id} ({second.recipe})",
        input_=one.input,
        terms=Terms(
            weights=_both(one.terms.weights, second.terms.weights),
            training_data=_both(one.terms.training_data, second.terms.training_data),
        ),
    )


def _both(one: str, other: str) -> str:
    return one if one == other else f"{one}; {other}"

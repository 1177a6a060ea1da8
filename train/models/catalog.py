"""Architecture name -> network."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import cast

import torch
from torch import nn

from edge_runtime.contract.errors import ConfigError
from train.models.mgn import MGN, MGNSingles
from train.models.osnet import OSNet, OSNetIBN
from train.models.osnet_ablations import ABLATIONS, DesignedBlock, ablation
from train.models.osnet_ain import OSNetAIN
from train.models.osnet_attributes import OSNetAttributes
from train.models.osnet_cifar import OSNetCifar
from train.models.plr_osnet import PLROSNet
from train.models.pyramid import TABLE_4_LEVELS, Pyramid
from train.models.training_output import TrainingOutput

Builder = Callable[..., nn.Module]
"""Called with the keyword `classes`."""

_WIDTHS = {"x1_0": 1.0, "x0_75": 0.75, "x0_5": 0.5, "x0_25": 0.25}
# The smallest width, for machines on which the papers' own would take days.
_SMALL = {"": 1.0, "_x0_25": 0.25}
_PRIMARY = {
    "osnet": OSNet,
    "osnet_ibn": OSNetIBN,
    "osnet_ain": OSNetAIN,
    "osnet_attributes": OSNetAttributes,
}
_CIFAR: dict[str, Builder] = {
    "osnet_cifar_78": OSNetCifar,
    "osnet_cifar_210": partial(OSNetCifar, counts=(3, 8, 6)),
    "osnet_cifar_78_t1": partial(OSNetCifar, block=partial(DesignedBlock, design=ABLATIONS["t1"])),
    "osnet_cifar_78_addition": partial(OSNetCifar, block=partial(DesignedBlock, design=ABLATIONS["addition"])),
}
_PLR_OSNET: dict[str, Builder] = {
    "plr_osnet": PLROSNet,
    "plr_osnet_without_global": partial(PLROSNet, with_global=False),
    "plr_osnet_without_attention": partial(PLROSNet, with_attention=False),
    "plr_osnet_multiple_id": partial(PLROSNet, multiple_id=True),
    "plr_osnet_pooled_gate": partial(PLROSNet, pools_gate=True),
}
_MGN: dict[str, Builder] = {
    "mgn": MGN,
    "mgn_without_part3": partial(MGN, stripes=(1, 2)),
    "mgn_with_part4": partial(MGN, stripes=(1, 2, 3, 4)),
    "mgn_part2_4": partial(MGN, stripes=(1, 2, 4)),
    "mgn_part3_4": partial(MGN, stripes=(1, 3, 4)),
    "mgn_reduced_softmax": partial(MGN, reduced_softmax=True),
    "mgn_single_global": partial(MGN, stripes=(1,)),
    "mgn_single_part2": partial(MGN, stripes=(2,)),
    "mgn_single_part3": partial(MGN, stripes=(3,)),
    "mgn_singles": MGNSingles,
    "mgn_resnet50": partial(MGN, stripes=(1,), reduced_softmax=True),
    "mgn_resnet101": partial(MGN, stripes=(1,), reduced_softmax=True, depth=101),
}
_PYRAMID: dict[str, Builder] = {
    "pyramid": Pyramid,
    **{f"pyramid_{levels}": partial(Pyramid, levels=levels) for levels in TABLE_4_LEVELS},
    "pyramid_f64": partial(Pyramid, length=64),
    "pyramid_f256": partial(Pyramid, length=256),
    "pyramid_r50": partial(Pyramid, depth=50),
    **{f"pyramid_r50_{levels}": partial(Pyramid, depth=50, levels=levels) for levels in TABLE_4_LEVELS},
    "pyramid_r50_f64": partial(Pyramid, depth=50, length=64),
    "pyramid_r50_f256": partial(Pyramid, depth=50, length=256),
}

_BUILDERS: dict[str, Builder] = {
    **{
        f"{name}_{w}": partial(builder, width=width)
        for name, builder in _PRIMARY.items()
        for w, width in _WIDTHS.items()
    },
    **{f"osnet_{w}_{row}": partial(ablation, row, width=width) for row in ABLATIONS for w, width in _WIDTHS.items()},
    **{
        f"{name}{w}": partial(builder, width=width)
        for name, builder in (_CIFAR | _PLR_OSNET).items()
        for w, width in _SMALL.items()
    },
    **_MGN,
    **_PYRAMID,
}


def architectures() -> tuple[str, ...]:
    """Every name that `build` knows."""
    return tuple(_BUILDERS)


def build(name: str, *, classes: int) -> nn.Module:
    """Build a network with random weights.

    In eval mode forward(images (N, 3, H, W) float32, RGB, normalised) gives descriptors (N, D), not L2-normalised;
    in train mode a `TrainingOutput`. It takes any input size.

    Raises:
        ConfigError: unknown name.
    """
    if name not in _BUILDERS:
        nearest = ", ".join(get_close_matches(name, _BUILDERS, n=5, cutoff=0))
        raise ConfigError(f"unknown architecture {name!r}; the nearest in train/models/catalog.py are {nearest}")
    return _BUILDERS[name](classes=classes)


def embedding_lengths(name: str, *, classes: int, height_px: int, width_px: int) -> tuple[int, ...]:
    """Lengths of the embeddings that the metric losses see. Nothing is computed: the network has no weights."""
    with torch.device("meta"):
        network = build(name, classes=classes).train()
        output = cast(TrainingOutput, network(torch.empty(2, 3, height_px, width_px)))
    return tuple(rows.shape[1] for rows in output.embeddings)

"""All networks in one table, and the function that builds one by its name. A new network is one row here."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import cast

import torch
from torch import nn

from edge_runtime.contract.errors import ConfigError
from train.models.lightweight import MobileNetV2, ShuffleNet
from train.models.mgn import MGN, MGNSingles
from train.models.osnet import OSNet, OSNetIBN
from train.models.osnet_ablations import ABLATIONS, DesignedBlock, ablation
from train.models.osnet_ain import OSNetAIN
from train.models.osnet_attributes import OSNetAttributes
from train.models.osnet_cifar import OSNetCifar
from train.models.plr_osnet import PLROSNet
from train.models.pyramid import TABLE_4_LEVELS, Pyramid
from train.models.training_output import TrainingOutput

_WIDTHS = {"x1_0": 1.0, "x0_75": 0.75, "x0_5": 0.5, "x0_25": 0.25}
# The papers' width, and the smallest one for machines on which the papers' would take days.
_FULL_AND_SMALL = {"": 1.0, "_x0_25": 0.25}


@dataclass(frozen=True)
class Architecture:
    """One row of the catalog: a network, and the widths at which it has a name.

    name: `{width}` in it stands for the name of a width. network: called with the keyword `classes`, and with `width`
    if there are widths. widths: name -> multiplier of the channels.
    """

    name: str
    network: Callable[..., nn.Module]
    widths: Mapping[str, float] = field(default_factory=dict)

    def builders(self) -> Iterator[tuple[str, Callable[..., nn.Module]]]:
        """Each name with what builds its network."""
        if not self.widths:
            yield self.name, self.network
        for text, width in self.widths.items():
            yield self.name.format(width=text), partial(self.network, width=width)


ARCHITECTURES = (
    # OSNet. A descriptor of another length: partial(OSNet, descriptor_length=256).
    Architecture("osnet_{width}", OSNet, _WIDTHS),
    Architecture("osnet_ibn_{width}", OSNetIBN, _WIDTHS),
    Architecture("osnet_ain_{width}", OSNetAIN, _WIDTHS),
    Architecture("osnet_attributes_{width}", OSNetAttributes, _WIDTHS),
    *(
        Architecture(f"osnet_{{width}}_{row}", partial(ablation, design=design), _WIDTHS)
        for row, design in ABLATIONS.items()
    ),
    Architecture("osnet_cifar_78{width}", OSNetCifar, _FULL_AND_SMALL),
    Architecture("osnet_cifar_210{width}", partial(OSNetCifar, counts=(3, 8, 6)), _FULL_AND_SMALL),
    *(
        Architecture(
            f"osnet_cifar_78_{row}{{width}}",
            partial(OSNetCifar, block=partial(DesignedBlock, design=ABLATIONS[row])),
            _FULL_AND_SMALL,
        )
        for row in ("t1", "addition")
    ),
    # What the OSNet paper compares with.
    Architecture("shufflenet", ShuffleNet),
    Architecture("mobilenetv2", MobileNetV2),
    # PLR-OSNet.
    Architecture("plr_osnet{width}", PLROSNet, _FULL_AND_SMALL),
    Architecture("plr_osnet_without_global{width}", partial(PLROSNet, with_global=False), _FULL_AND_SMALL),
    Architecture("plr_osnet_without_attention{width}", partial(PLROSNet, with_attention=False), _FULL_AND_SMALL),
    Architecture("plr_osnet_multiple_id{width}", partial(PLROSNet, multiple_id=True), _FULL_AND_SMALL),
    Architecture("plr_osnet_pooled_gate{width}", partial(PLROSNet, pools_gate=True), _FULL_AND_SMALL),
    # MGN.
    Architecture("mgn", MGN),
    Architecture("mgn_without_part3", partial(MGN, stripes=(1, 2))),
    Architecture("mgn_with_part4", partial(MGN, stripes=(1, 2, 3, 4))),
    Architecture("mgn_part2_4", partial(MGN, stripes=(1, 2, 4))),
    Architecture("mgn_part3_4", partial(MGN, stripes=(1, 3, 4))),
    Architecture("mgn_reduced_softmax", partial(MGN, reduced_softmax=True)),
    Architecture("mgn_single_global", partial(MGN, stripes=(1,))),
    Architecture("mgn_single_part2", partial(MGN, stripes=(2,))),
    Architecture("mgn_single_part3", partial(MGN, stripes=(3,))),
    Architecture("mgn_singles", MGNSingles),
    Architecture("mgn_resnet50", partial(MGN, stripes=(1,), reduced_softmax=True)),
    Architecture("mgn_resnet101", partial(MGN, stripes=(1,), reduced_softmax=True, depth=101)),
    # Pyramid.
    Architecture("pyramid", Pyramid),
    *(Architecture(f"pyramid_{levels}", partial(Pyramid, levels=levels)) for levels in TABLE_4_LEVELS),
    Architecture("pyramid_f64", partial(Pyramid, length=64)),
    Architecture("pyramid_f256", partial(Pyramid, length=256)),
    Architecture("pyramid_r50", partial(Pyramid, depth=50)),
    *(Architecture(f"pyramid_r50_{levels}", partial(Pyramid, depth=50, levels=levels)) for levels in TABLE_4_LEVELS),
    Architecture("pyramid_r50_f64", partial(Pyramid, depth=50, length=64)),
    Architecture("pyramid_r50_f256", partial(Pyramid, depth=50, length=256)),
)

_BUILDERS = {name: builder for row in ARCHITECTURES for name, builder in row.builders()}


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

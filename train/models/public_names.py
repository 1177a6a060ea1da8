"""Public checkpoints with other names: which of our weights each one fills, and which ones we do not use."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from edge_runtime.contract.errors import CheckpointError
from train.models.weights import CLASSIFIER, StateDict, load_weights

Rename = tuple[str, str]
"""A pattern that one of our names matches as a whole, and the public name it stands for."""


@dataclass(frozen=True)
class Layout:
    """The names that one public program gives the weights of one of our networks.

    program: the code that wrote them. mark: a name that only this program's files have. unused: prefixes of the names
    that a descriptor does not depend on.
    """

    program: str
    mark: str
    renames: tuple[Rename, ...]
    unused: tuple[str, ...]


_PLR_OSNET = Layout(
    program="PLR-OSNet, its authors' code",
    mark="attention_module1.pam.gamma",
    renames=(
        (r"conv1\.(.+)", r"layer0.0.\1"),
        (r"conv2\.(.+)", r"layer1.\1"),
        (r"conv3\.(.+)", r"layer2.\1"),
        (r"attention([12])\.position\.(query|key)\.(.+)", r"attention_module\1.pam.\2_conv.\3"),
        (r"attention([12])\.position\.(.+)", r"attention_module\1.pam.\2"),
        (r"attention([12])\.gate\.(.+)", r"attention_module\1.se.\2"),
        (r"local_branch\.conv4\.(.+)", r"layer30.\1"),
        (r"local_branch\.conv5\.(.+)", r"layer40.\1"),
        (r"global_branch\.conv4\.(.+)", r"layer31.0.\1"),
        (r"global_branch\.conv5\.(.+)", r"layer41.0.\1"),
        (r"global_head\.linear\.(.+)", r"fc2.\1"),
        (r"local_head\.bn\.(.+)", r"bn1.\1"),
        (r"global_head\.bn\.(.+)", r"bn2.\1"),
    ),
    unused=("classifier",),
)


def _mgn_renames(trunk: str) -> tuple[Rename, ...]:
    """Both public MGNs number the layers of the shared trunk, and count a branch's blocks of conv4 from zero."""
    return (
        (r"shared\.conv1\.(.+)", rf"{trunk}.0.\1"),
        (r"shared\.bn1\.(.+)", rf"{trunk}.1.\1"),
        (r"shared\.layer1\.(.+)", rf"{trunk}.4.\1"),
        (r"shared\.layer2\.(.+)", rf"{trunk}.5.\1"),
        (r"shared\.layer3\.0\.(.+)", rf"{trunk}.6.\1"),
        *(
            (rf"branches\.{branch}\.layer3\.{block}\.(.+)", rf"p{branch + 1}.0.{block - 1}.\1")
            for branch in range(3)
            for block in range(1, 6)
        ),
        *((rf"branches\.{branch}\.layer4\.(.+)", rf"p{branch + 1}.1.\1") for branch in range(3)),
    )


_MGN_EIGHT_REDUCTIONS = Layout(
    program="MGN, seathiefwang/MGN-pytorch",
    mark="backone.0.weight",
    renames=(*_mgn_renames("backone"), (r"reductions\.(\d)\.(.+)", r"reduction_\1.\2")),
    unused=("fc_id_",),
)

_MGN_ONE_REDUCTION = Layout(
    program="MGN, GNAYUOHZ/ReID-MGN",
    mark="reduction.0.weight",
    # One reduction serves all eight features there: each of ours becomes a copy of it.
    renames=(*_mgn_renames("backbone"), (r"reductions\.\d\.(.+)", r"reduction.\1")),
    unused=("fc_id_",),
)

_PYRAMID = Layout(
    program="Pyramid, its authors' first release",
    mark="pyramid_conv_list0.0.0.weight",
    renames=(
        (r"backbone\.\d\.(.+)", r"base.\1"),
        (r"reductions\.(\d+)\.(.+)", r"pyramid_conv_list0.\1.\2"),
    ),
    # The second set of reductions and classifiers is in every file, and their forward never calls it.
    unused=("pyramid_fc_list0.", "pyramid_conv_list1.", "pyramid_fc_list1."),
)

LAYOUTS = (_PLR_OSNET, _MGN_EIGHT_REDUCTIONS, _MGN_ONE_REDUCTION, _PYRAMID)


def find_layout(state: StateDict) -> Layout | None:
    """The layout of the public program that wrote these weights; None if no known program did."""
    return next((layout for layout in LAYOUTS if layout.mark in state), None)


def load_public(network: nn.Module, state: StateDict, *, layout: Layout, source: Path) -> tuple[str, ...]:
    """Fill all but the classifiers of a network from a public program's weights.

    Returns what was not used of the file, one entry per prefix: "fc_id_ (16 entries)".

    Raises:
        CheckpointError: the weights belong to another network.
    """
    try:
        load_renamed(network, state, renames=layout.renames, fresh=(CLASSIFIER,), unused=layout.unused, source=source)
    except CheckpointError as error:
        raise CheckpointError(f"{error} (the file has the names of {layout.program})") from error
    counts = {start: sum(name.startswith(start) for name in state) for start in layout.unused}
    return tuple(f"{start} ({count} entries)" for start, count in counts.items() if count)


def load_renamed(
    network: nn.Module,
    state: StateDict,
    *,
    renames: Sequence[Rename],
    fresh: tuple[str, ...],
    unused: tuple[str, ...],
    source: Path,
) -> None:
    """Fill a network from weights with other names, strictly: what may be left out is named in advance.

    One public weight may fill several of ours. fresh: prefixes of our names that keep their values; so do the counters
    of batches, which old files lack. unused: prefixes of public names that no weight of ours takes.

    Raises:
        CheckpointError: the weights belong to another network.
    """
    own = network.state_dict()
    public = {key: _public_name(key, renames) for key in own if not key.startswith(fresh)}
    filled = {key: state[name] for key, name in public.items() if name in state}
    kept = {key: value for key, value in own.items() if key.startswith(fresh) or key.endswith("num_batches_tracked")}
    wanted = set(public.values())
    left = [name for name in state if name not in wanted and not name.startswith(unused)]
    load_weights(network, {**kept, **filled}, source=source, left_over=left)


def _public_name(key: str, renames: Sequence[Rename]) -> str:
    for pattern, replacement in renames:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(replacement)
    return key

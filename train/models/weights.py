"""Loading weights by name, strictly: a network is never filled in part without an error."""

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from edge_runtime.contract.errors import CheckpointError

StateDict = dict[str, Tensor]
CLASSIFIER = "classifier"


def load_weights(network: nn.Module, state: StateDict, *, source: Path, left_over: Iterable[str] = ()) -> None:
    """Load weights strictly: every name and shape must agree. source: the file to name when they do not.

    left_over: names in the file for which `state` has no entry after renaming; they are refused too.

    Raises:
        CheckpointError: the weights belong to another network; missing and unknown names and other shapes are listed.
    """
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    unknown = sorted([*(state.keys() - own.keys()), *left_over])
    shapes = [
        f"{key} is {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & state.keys())
        if state[key].shape != own[key].shape
    ]
    if missing or unknown or shapes:
        raise CheckpointError(
            f"{source} belongs to another network: "
            f"missing: {_listed(missing)}; unknown: {_listed(unknown)}; other shape: {_listed(shapes)}"
        )
    network.load_state_dict(state)


def load_all_but_classifiers(network: nn.Module, state: StateDict, *, source: Path) -> None:
    """`load_weights` for fine-tuning: the state's classifiers are ignored, the network keeps its own.

    Raises:
        CheckpointError: see `load_weights`.
    """
    own = {key: value for key, value in network.state_dict().items() if key.startswith(CLASSIFIER)}
    others = {key: value for key, value in state.items() if not key.startswith(CLASSIFIER)}
    load_weights(network, {**others, **own}, source=source)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return (f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown) or "nothing"

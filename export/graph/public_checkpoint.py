"""Checkpoints of public code: weights without a manifest, whose facts the user has to state."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Input, Terms
from train.models.catalog import build
from train.models.checkpoint import LoadedNetwork, checkpoint_manifest, class_count, load_described
from train.models.public_names import find_layout, load_public
from train.models.weight_files import read_weights
from train.models.weights import StateDict


@dataclass(frozen=True)
class Facts:
    """What the manifest of a public checkpoint holds and its weights do not tell. licence: of weights and data."""

    architecture: str
    data_set: str
    licence: str
    height_px: int
    width_px: int


def load_public_checkpoint(path: Path, facts: Facts) -> LoadedNetwork:
    """Load public weights strictly, and make a manifest of what was stated about them.

    If the file has the names of other code, prints which of its weights the network does not use.

    Raises:
        ConfigError: unknown architecture.
        CheckpointError: unreadable, or weights of another network.
        ExportError: a manifest cannot hold a fact.
    """
    network = _network(facts.architecture, read_weights(path), source=path)
    try:
        manifest = checkpoint_manifest(
            path,
            network.eval(),
            architecture=facts.architecture,
            data_set=facts.data_set,
            recipe="none: public checkpoint",
            input_=Input(height_px=facts.height_px, width_px=facts.width_px),
            terms=Terms(weights=facts.licence, training_data=facts.licence),
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise ExportError(
            f"these facts make no manifest: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; "
            "a data set's name holds only a-z, 0-9 and _, sizes are positive"
        ) from error
    except RuntimeError as error:  # too small for its pools, or too large for this machine's memory
        raise ExportError(
            f"{facts.architecture} cannot take images of {facts.height_px} x {facts.width_px} pixels here; "
            "give the height and width it was trained with"
        ) from error
    return LoadedNetwork(network, manifest)


def _network(architecture: str, state: StateDict, *, source: Path) -> nn.Module:
    layout = find_layout(state)
    if layout is None:
        network = build(architecture, classes=class_count(state) or 1)
        load_described(network, state, source=source)
        return network
    network = build(architecture, classes=1)  # the file's classifiers are not loaded: no descriptor depends on them
    left = load_public(network, state, layout=layout, source=source)
    print(f"{source}: names of {layout.program}; not used: {', '.join(left)}")
    return network

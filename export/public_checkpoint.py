"""Checkpoints of public code: weights without a manifest, whose facts a person has to state."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Input,
    Manifest,
    Part,
    Terms,
    file_sha256,
    space_id,
)
from edge_runtime.contract.provenance import commit, now
from train.checkpoint import LoadedNetwork, class_count, load_weights, read_weights, weights_sha256
from train.models.catalog import build


@dataclass(frozen=True)
class Facts:
    """What a manifest needs to know about a public checkpoint and cannot be read from its weights."""

    architecture: str
    data_set: str
    licence: str
    height_px: int
    width_px: int


def load_public_checkpoint(path: Path, facts: Facts) -> LoadedNetwork:
    """Load public weights strictly, and write down in a manifest what was stated about them.

    Raises:
        ConfigError: unknown architecture.
        CheckpointError: unreadable, or weights of another network.
        ExportError: a fact is not one a manifest can hold.
    """
    state = read_weights(path)
    network = build(facts.architecture, classes=class_count(state, source=path))
    load_weights(network, state, source=path)
    network.eval()
    weights = weights_sha256(state)
    try:
        input_ = Input(height_px=facts.height_px, width_px=facts.width_px)
        with torch.inference_mode():
            length = network(torch.zeros(1, 3, facts.height_px, facts.width_px)).shape[1]
        descriptor = Descriptor(length=length, parts=(Part(name="global", length=length),))
        manifest = Manifest(
            model_id=f"{facts.architecture}-{facts.data_set}-{weights[:8]}",
            architecture=facts.architecture,
            weights_sha256=weights,
            recipe="none: public checkpoint",
            commit=commit(),
            created=now(),
            space_id=space_id(weights, input_, descriptor),
            input=input_,
            descriptor=descriptor,
            artefact=Artefact(kind="checkpoint", file=path.name, sha256=file_sha256(path)),
            build=Build(backend="torch", precision="fp32"),
            terms=Terms(weights=facts.licence, training_data=facts.licence),
        )
    except ValidationError as error:
        fault = error.errors()[0]
        raise ExportError(
            f"these facts make no manifest: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; "
            "a data set's name holds only a-z, 0-9 and _, sizes are positive"
        ) from error
    return LoadedNetwork(network, manifest)

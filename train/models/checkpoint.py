"""Checkpoint files: a finished network with its manifest, or the state of a stopped run."""

import hashlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from edge_runtime.contract.errors import CheckpointError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Input,
    Manifest,
    Part,
    Terms,
    hash_file,
    manifest_path,
    read_manifest,
    space_id,
)
from edge_runtime.contract.provenance import read_commit, read_utc
from train.models.catalog import build
from train.models.public_names import find_layout, load_public
from train.models.weight_files import read_weights
from train.models.weights import CLASSIFIER, StateDict, load_all_but_classifiers, load_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in eval mode and the manifest of the checkpoint it came from."""

    network: nn.Module
    manifest: Manifest


def save(content: dict[str, Any], path: Path) -> None:
    """Write a checkpoint atomically: if the process is stopped meanwhile, the old file stays.

    Raises:
        CheckpointError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        torch.save(content, partial)
        os.replace(partial, path)
    except (RuntimeError, OSError) as error:  # torch's writer raises RuntimeError for a full disk, too
        partial.unlink(missing_ok=True)
        raise CheckpointError(f"cannot write {path}; is the folder there, writable, and the disk not full?") from error


def start_from(network: nn.Module, path: Path, *, architecture: str) -> None:
    """Fill a network for training from a checkpoint of ours, of public code, or of ImageNet weights.

    Its classifiers keep their random weights; with ImageNet weights, so does everything but the backbone. What a public
    file holds beyond the network is logged. architecture: of the network, for messages.

    Raises:
        CheckpointError: the weights belong to another network.
    """
    try:
        _fill(network, path)
    except CheckpointError as error:
        held = read_manifest(path).architecture if manifest_path(path).exists() else architecture
        if held == architecture:
            raise
        raise CheckpointError(f"{path} holds {held}, the recipe trains {architecture}; {error}") from error


def _fill(network: nn.Module, path: Path) -> None:
    state = read_weights(path)
    layout = find_layout(state)
    if layout is not None:
        left = load_public(network, state, layout=layout, source=path)
        logger.info("%s is from %s; not used of it: %s", path, layout.program, ", ".join(left))
    elif all(key in state for key in network.state_dict() if not key.startswith(CLASSIFIER)):
        load_all_but_classifiers(network, state, source=path)
    else:
        cast(Any, network).load_pretrained(state, source=path)


def load_network(path: Path) -> LoadedNetwork:
    """Open a checkpoint of ours: build its architecture, load its weights, switch to eval mode.

    Raises:
        ManifestError: no manifest beside it, or one of another file.
        CheckpointError: the weights belong to another network.
    """
    manifest = read_manifest(path)
    state = read_weights(path)
    network = build(manifest.architecture, classes=class_count(state) or 1)
    load_described(network, state, source=path)
    return LoadedNetwork(network.eval(), manifest)


def checkpoint_manifest(
    path: Path, network: nn.Module, *, architecture: str, data_set: str, recipe: str, input_: Input, terms: Terms
) -> Manifest:
    """The manifest of a checkpoint file that holds the weights of `network`, which is in eval mode; without scores.

    Raises:
        ValidationError: a value is one that a manifest does not allow.
    """
    weights = weights_sha256(network.state_dict())
    parts = cast(tuple[tuple[str, int], ...], network.descriptor_parts)
    descriptor = Descriptor(
        length=_descriptor_length(network, input_),
        parts=tuple(Part(name=name, length=length) for name, length in parts),
    )
    return Manifest(
        model_id=f"{architecture}-{data_set}-{weights[:8]}",
        architecture=architecture,
        weights_sha256=weights,
        recipe=recipe,
        commit=read_commit(),
        created=read_utc(),
        space_id=space_id(weights, input_, descriptor=descriptor),
        input=input_,
        descriptor=descriptor,
        artefact=Artefact(kind="checkpoint", file=path.name, sha256=hash_file(path)),
        build=Build(backend="torch", precision="fp32"),
        terms=terms,
    )


def _descriptor_length(network: nn.Module, input_: Input) -> int:
    device = next(network.parameters()).device
    with torch.inference_mode():
        return int(network(torch.zeros(1, 3, input_.height_px, input_.width_px, device=device)).shape[1])


def class_count(state: StateDict) -> int:
    """Number of classes of a state dict's classifiers (all have the same); 0 if it has no classifier."""
    weights = [value for key, value in state.items() if key.startswith(CLASSIFIER) and key.endswith(".weight")]
    return len(weights[0]) if weights else 0


def load_described(network: nn.Module, state: StateDict, *, source: Path) -> None:
    """Load all weights that a descriptor depends on, strictly; only classifiers may be missing from the file.

    Raises:
        CheckpointError: see `load_weights`.
    """
    load = load_weights if class_count(state) else load_all_but_classifiers
    load(network, state, source=source)


def weights_sha256(state: StateDict) -> str:
    """Digest of all weights that a descriptor depends on, by name, shape and value: all but the classifiers."""
    digest = hashlib.sha256()
    for key in sorted(key for key in state if not key.startswith(CLASSIFIER)):
        value = state[key].detach().cpu().contiguous()
        digest.update(f"{key} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.numpy().tobytes())
    return digest.hexdigest()

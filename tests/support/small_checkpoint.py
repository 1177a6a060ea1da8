"""Checkpoints of ours with random weights, on small images."""

from pathlib import Path

from edge_runtime.contract.manifest import Terms, write_manifest
from tests.support.every_network import input_of, network
from train.models.checkpoint import checkpoint_manifest, save


def write_checkpoint(folder: Path, architecture: str) -> Path:
    """Write `model.pth` and its manifest. Returns the checkpoint's path."""
    path = folder / "model.pth"
    given = network(architecture)
    save({"state_dict": given.state_dict()}, path)
    manifest = checkpoint_manifest(
        path,
        given,
        architecture=architecture,
        data_set="patterns",
        recipe="none",
        input_=input_of(architecture),
        terms=Terms(weights="none", training_data="none"),
    )
    write_manifest(manifest, path)
    return path

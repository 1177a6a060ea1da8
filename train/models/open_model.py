"""Any model as a function from images to descriptors: a checkpoint, an ONNX file or an engine."""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.engine.catalog import open_engine


@dataclass(frozen=True)
class OpenedModel:
    """An opened model. describe: images to descriptors, not normalised. runs_on: library and device that run it."""

    manifest: Manifest
    describe: Describe
    runs_on: str


def open_model(path: Path, stack: ExitStack) -> OpenedModel:
    """Open a checkpoint, an ONNX file or an engine by its manifest; `stack` closes it.

    Raises:
        ManifestError: no manifest beside it, or one of another file.
        ConfigError: it is a checkpoint, and PyTorch is not installed.
        CheckpointError, EngineError: it cannot be opened.
    """
    manifest = read_manifest(path)
    if manifest.artefact.kind == "checkpoint":
        describe, runs_on = _open_checkpoint(path)
        return OpenedModel(manifest, describe, runs_on)
    engine = stack.enter_context(open_engine(path, threads=os.cpu_count() or 1))
    return OpenedModel(manifest, engine.describe_raw, engine.backend)


def _open_checkpoint(path: Path) -> tuple[Describe, str]:
    """A checkpoint's network as a function, and what runs it. Only this needs PyTorch."""
    try:
        import torch
    except ImportError as error:
        raise ConfigError(
            f"{path} is a checkpoint, which needs PyTorch; install the extra `train`, or give its ONNX file"
        ) from error
    from train.models.checkpoint import load_network
    from train.models.pixels import describe_raw_with

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = load_network(path)
    return describe_raw_with(loaded.network, loaded.manifest.input, device=device), f"PyTorch, {device}"

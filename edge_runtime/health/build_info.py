"""What runs on a node: the version of this program, the model, and what runs it."""

import importlib.metadata
from functools import cache

from edge_runtime.contract.provenance import read_commit
from edge_runtime.service import Service


def model_names(service: Service) -> dict[str, str]:
    """What makes descriptors here: its name, the space and precision of its numbers, and what runs it."""
    manifest = service.engine.manifest
    return {
        "model": manifest.model_id,
        "space": manifest.space_id,
        "precision": manifest.build.precision,
        "backend": service.engine.backend,
    }


@cache
def read_version() -> str:
    """The version that is installed, or the commit of a checkout that is not."""
    try:
        return importlib.metadata.version("reid-edge")
    except importlib.metadata.PackageNotFoundError:
        return read_commit()

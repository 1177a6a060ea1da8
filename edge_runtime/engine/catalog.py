"""The engines there are, one table row each, and the one way to open a model with its manifest.

To add an engine: write its class, add its row here, and its name to Backend and to the manifest's `Build.backend`.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol

from pydantic import Field

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Manifest, read_manifest
from edge_runtime.contract.settings import FilePath
from edge_runtime.engine.engine import Engine

logger = logging.getLogger(__name__)

Backend = Literal["auto", "onnxruntime", "openvino", "tensorrt"]


@dataclass(frozen=True)
class EngineSettings:
    """The network that describes people: an ONNX file or a TensorRT plan, with its manifest beside it.

    also: a network of another space that describes some of the same moments, so that a gallery can learn how to carry
    descriptors from one space into the other (a bridge). pairs: how many moments, at most, after each start.
    """

    model: FilePath
    backend: Backend = "auto"
    also: FilePath | None = None
    pairs: Annotated[int, Field(ge=1, le=1_000_000)] = 1000


def open_engine(path: Path, *, backend: Backend = "auto", threads: int = 1) -> Engine:
    """Open the model at `path` after checking it against its manifest.

    backend: `auto` takes the one that the model was built for; any other one is an error.
    threads: CPU threads that one call may use; TensorRT does not use them.

    Raises:
        ManifestError: manifest missing, wrong, or of another file.
        EngineError: the backend is not installed or refuses the file, or its tensors are not those of the manifest.
    """
    path = path.parent.resolve() / path.name  # an install may exchange a link to the folder between two readings
    manifest = read_manifest(path)
    built_for = manifest.build.backend
    if built_for == "torch":
        raise EngineError(f"{path} is a checkpoint; export it with export/to_onnx.py first")
    if backend not in ("auto", built_for):
        raise EngineError(f"{path} was built for {built_for}, not {backend}; build it with export/build_engine.py")
    engine = ENGINES[built_for](path, manifest, threads=threads)
    logger.info("engine %s (%s) runs on %s", manifest.model_id, manifest.build.precision, engine.backend)
    return engine


class OpenEngine(Protocol):
    """Opens the model at a path that fits its manifest; threads: as of `open_engine`."""

    def __call__(self, path: Path, manifest: Manifest, *, threads: int) -> Engine:
        """See above."""
        ...


def _open_onnxruntime(path: Path, manifest: Manifest, *, threads: int) -> Engine:
    from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(path, manifest, threads=threads)


def _open_openvino(path: Path, manifest: Manifest, *, threads: int) -> Engine:
    from edge_runtime.engine.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(path, manifest, threads=threads)


def _open_tensorrt(path: Path, manifest: Manifest, *, threads: int) -> Engine:
    from edge_runtime.engine.tensorrt.tensorrt_engine import TensorRTEngine

    return TensorRTEngine(path, manifest)


ENGINES: dict[str, OpenEngine] = {
    "onnxruntime": _open_onnxruntime,
    "openvino": _open_openvino,
    "tensorrt": _open_tensorrt,
}
"""Functions that open a model, by the backend it was built for. Each imports its library when it is called."""

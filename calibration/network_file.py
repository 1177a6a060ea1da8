"""ONNX files as they come from disk."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from edge_runtime.contract.errors import ExportError


def read_network(path: Path) -> onnx.ModelProto:
    """Read a whole ONNX file.

    Raises:
        ExportError: the file cannot be read, is cut short, or is no network.
    """
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}; give the path of an ONNX file") from error
    except DecodeError as error:
        raise ExportError(f"{path} is not a whole ONNX file ({error}); export it again") from error
    if not model.graph.node:
        raise ExportError(f"{path} is not a whole ONNX file (its graph is empty); export it again")
    return model

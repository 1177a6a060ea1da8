"""A detector's ONNX file, read once: what is opened is what was hashed."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.external_weights import REMEDY, keeps_weights_elsewhere

_PLUGIN_SIGNS = ("is not a registered function/op", "No conversion rule found for operations", "EfficientNMS_TRT")


@dataclass(frozen=True)
class DetectorFile:
    """The whole content of a detector's file."""

    path: Path
    content: bytes

    @property
    def sha256(self) -> str:
        """The digest of the content, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def read_detector_file(path: Path) -> DetectorFile:
    """Read a detector's file.

    Raises:
        EngineError: there is none, or its weights are in another file, which a digest of this one would not cover.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise EngineError(
            f"there is no person detector at {path} ({error.strerror}); give the path of a network in ONNX format"
        ) from error
    if keeps_weights_elsewhere(content):
        raise EngineError(
            f"{path} keeps its weights in another file: expected one file, so that one digest covers it; {REMEDY}"
        )
    return DetectorFile(path, content)


def describe_refusal(file: DetectorFile, *, library: str, reason: str) -> str:
    """The sentence for a file that a library cannot open. reason: the line of its message that says why."""
    if any(sign in reason for sign in _PLUGIN_SIGNS):
        return (
            f"{library} cannot run {file.path}: it has an operation that only a plugin knows ({reason}); "
            "EfficientNMS_TRT and its like are TensorRT's; export the network without them, for example as yolo-v8"
        )
    return (
        f"{library} cannot read {file.path} as a network: {reason}; the file is damaged or no ONNX file, copy it again"
    )

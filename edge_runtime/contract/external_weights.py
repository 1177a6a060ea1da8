"""What can be said of an ONNX file without a library that reads it."""

from mmap import mmap

_LOCATION = b"\n\x08location\x12"
"""The key `location` of an ONNX tensor that is stored in another file, as protobuf writes it."""

REMEDY = "save it again with onnx.save(onnx.load(FILE), NEW_FILE)"


def keeps_weights_elsewhere(content: bytes | mmap) -> bool:
    """Whether a file's weights are in another file, which a digest of this one would not cover."""
    return content.find(_LOCATION) >= 0

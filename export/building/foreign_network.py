"""An ONNX file of another toolkit, read: which tensor is the image, which one the descriptor, what size and batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from calibration.onnx_graph import read_network
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.external_weights import REMEDY, keeps_weights_elsewhere

_TYPES = {TensorProto.FLOAT: "float32", TensorProto.UINT8: "uint8"}


@dataclass(frozen=True)
class ForeignNetwork:
    """A network as it was found. output: the tensor that is the descriptor. batch: None if any number may come."""

    path: Path
    model: onnx.ModelProto
    input: str
    output: str
    channels_first: bool
    takes_bytes: bool
    height_px: int
    width_px: int
    batch: int | None

    def arrange(self, values: NDArray[np.generic]) -> NDArray[np.generic]:
        """(N, H, W, 3) in the order of axes of the network's input."""
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if self.channels_first else values


def read_foreign(path: Path, *, output: str | None = None, size: tuple[int, int] | None = None) -> ForeignNetwork:
    """Read another toolkit's ONNX file.

    output: the tensor that is the descriptor, where there are several. size: height and width, where the file leaves
    them open.

    Raises:
        ExportError: the file cannot be read, or is not a network from one image to a descriptor.
    """
    model = read_network(path)
    if keeps_weights_elsewhere(path.read_bytes()):
        raise ExportError(f"{path} keeps its weights in another file; {REMEDY}, and adopt the new file")
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ExportError(f"expected one input, the image, in {path}, found {_names(inputs)}; export it with one")
    [image] = inputs
    kind, dims = image.type.tensor_type.elem_type, sizes_of(image)
    channels_first = len(dims) == 4 and dims[1] == 3
    if kind not in _TYPES or len(dims) != 4 or not (channels_first or dims[3] == 3):
        raise ExportError(
            f"expected an image of 3 channels, float32 or uint8, as the input of {path}, found {_described(image)}; "
            "export the network for images, in float32"
        )
    sides = (dims[2:] if channels_first else dims[1:3]) if size is None else size
    height, width = _check_size(path, sides, found=dims, channels_first=channels_first)
    return ForeignNetwork(
        path=path,
        model=model,
        input=image.name,
        output=_choose_output(path, model, wanted=output),
        channels_first=channels_first,
        takes_bytes=kind == TensorProto.UINT8,
        height_px=height,
        width_px=width,
        batch=dims[0] or None,
    )


def _check_size(path: Path, sides: Sequence[int], *, found: Sequence[int], channels_first: bool) -> tuple[int, int]:
    fixed = found[2:] if channels_first else found[1:3]
    if not all(sides):
        raise ExportError(f"{path} leaves the size of its images open; add --size HEIGHT WIDTH, as it was trained with")
    if any(there and there != wanted for there, wanted in zip(fixed, sides, strict=True)):
        raise ExportError(
            f"{path} takes images of {fixed[0]} x {fixed[1]} pixels (height x width), not {sides[0]} x {sides[1]}; "
            "leave --size out"
        )
    return sides[0], sides[1]


def _choose_output(path: Path, model: onnx.ModelProto, *, wanted: str | None) -> str:
    outputs = {value.name: value for value in model.graph.output}
    if wanted is not None and wanted not in outputs:
        raise ExportError(f"{path} has no output {wanted}; found {_names(model.graph.output)}")
    if wanted is None and len(outputs) > 1:
        raise ExportError(
            f"{path} has {len(outputs)} outputs: {_names(model.graph.output)}; name the descriptor with --descriptor, "
            "not the scores of the people it was trained on"
        )
    return wanted or next(iter(outputs))


def sizes_of(value: onnx.ValueInfoProto) -> list[int]:
    """Sizes of a tensor of a graph; 0 stands for any."""
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim]


def _described(value: onnx.ValueInfoProto) -> str:
    kind = _TYPES.get(value.type.tensor_type.elem_type, "another type")
    return f"{value.name} {kind} ({', '.join(str(size or 'any') for size in sizes_of(value))})"


def _names(values: Sequence[onnx.ValueInfoProto]) -> str:
    return ", ".join(_described(value) for value in values) or "none"

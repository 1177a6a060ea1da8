"""Static INT8 quantisation: ranges from calibration images, written as Q/DQ nodes into an ONNX file."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from tqdm import tqdm

from calibration.image_list import ImageList, read_image_list
from calibration.network_file import read_network
from calibration.quantization_plan import mean_pools_to_convolutions, steps_left_in_float
from edge_runtime.contract.errors import DataError, ExportError
from edge_runtime.contract.manifest import (
    Build,
    Calibration,
    Input,
    Manifest,
    file_sha256,
    read_manifest,
    write_manifest,
)
from edge_runtime.contract.preprocess import read_image, resize
from edge_runtime.contract.provenance import describe_file, successor

Activations = Literal["uint8", "int8"]

_KEPT_HIGHER = ("channel gates", "stream sums", "linear layers")
_CHUNK = 8

# uint8 is what ONNX Runtime's kernels are fast with: its outputs are quantised too, so that steps chain in INT8.
# int8 is what TensorRT accepts: zero point 0, float biases, weights through a Q/DQ pair, and Q/DQ before convolutions
# only, so that nothing stands between a convolution and its ReLU.
_STEPS: dict[Activations, list[str]] = {"uint8": ["Conv", "Add", "MaxPool", "Relu"], "int8": ["Conv"]}
_OPTIONS: dict[Activations, dict[str, Any]] = {
    "uint8": {"WeightSymmetric": True},
    "int8": {
        "WeightSymmetric": True,
        "ActivationSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": ["Conv"],
    },
}


def quantize(model: Path, output: Path, *, image_list: Path, data: Path, activations: Activations) -> Manifest:
    """Write `output`, the float32 network `model` in INT8, and its manifest. The same inputs give the same bytes.

    Weights are symmetric, one scale per channel; activation ranges are the smallest and largest value seen.

    Raises:
        ManifestError: `model` has no valid manifest.
        DataError: list or images cannot be used, or have changed.
        ExportError: `model` is not float32, or cannot be quantised. No file is left then.
    """
    parent = read_manifest(model)
    if parent.artefact.kind != "onnx" or parent.build.precision != "fp32":
        raise ExportError(
            f"expected a float32 ONNX file, found {model}: {parent.artefact.kind} in {parent.build.precision}; "
            "quantise the file that export/to_onnx.py wrote"
        )
    images = read_image_list(image_list, data)
    _check_output(output, model)
    partial = output.with_name(output.name + ".partial")
    try:
        opset = _quantize_file(
            model, partial, images=_Images(images, data, input_=parent.input), activations=activations
        )
        artefact = describe_file(partial, parent=parent, kind="onnx", opset=opset)
        os.replace(partial, output)
    except OSError as error:
        raise ExportError(f"cannot write {output}: {error.strerror}; give another --output") from error
    finally:
        partial.unlink(missing_ok=True)
    manifest = successor(
        parent,
        artefact.model_copy(update={"file": output.name}),
        build=Build(backend="onnxruntime", precision="int8", kept_higher=_KEPT_HIGHER),
        calibration=Calibration(
            method="minmax",
            image_list_sha256=file_sha256(image_list),
            count=images.count,
            seed=images.seed,
            split=images.split,
        ),
    )
    write_manifest(manifest, output)
    return manifest


def _check_output(output: Path, model: Path) -> None:
    if not output.parent.is_dir() or output.is_dir():
        raise ExportError(f"cannot write {output}: expected a file name in a folder that exists; give another --output")
    if output.exists() and output.samefile(model):
        raise ExportError(f"the INT8 network would replace the float32 one, {output}; give another --output")


def _quantize_file(model: Path, output: Path, *, images: "_Images", activations: Activations) -> int:
    """Write the quantised network. Returns its opset."""
    network = mean_pools_to_convolutions(read_network(model))
    add_pre_process_metadata(network)  # shapes are inferred and batch norms folded: nothing is left for its own pass
    quantize_static(
        network,
        output,
        images,
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=_STEPS[activations],
        nodes_to_exclude=steps_left_in_float(network),
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8 if activations == "uint8" else QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        extra_options=_OPTIONS[activations],
    )
    quantised = onnx.load(output)
    onnx.checker.check_model(quantised, full_check=True)
    if not any(node.op_type == "QuantizeLinear" for node in quantised.graph.node):
        raise ExportError(f"{model} holds no convolution that could be quantised")
    return int(next(entry.version for entry in quantised.opset_import if entry.domain in ("", "ai.onnx")))


class _Images(CalibrationDataReader):  # type: ignore[misc]
    """Calibration images in small chunks, preprocessed as on the device, with a progress bar."""

    def __init__(self, images: ImageList, data: Path, *, input_: Input) -> None:
        self._paths = [data / image for image in images.images]
        self._input = input_
        starts = range(0, len(self._paths), _CHUNK)
        unit = f" x {_CHUNK} images"
        self._chunks = iter(tqdm(starts, desc="calibration", unit=unit, leave=False, disable=None))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """The next chunk by tensor name, or None at the end."""
        start = next(self._chunks, None)
        if start is None:
            return None
        return {self._input.tensor: np.stack([self._read(path) for path in self._paths[start : start + _CHUNK]])}

    def _read(self, path: Path) -> NDArray[np.uint8]:
        image = read_image(path)
        if image is None:
            raise DataError(f"the calibration image {path} cannot be decoded; replace it and make the list again")
        spec = self._input
        return resize(image, height_px=spec.height_px, width_px=spec.width_px, rule=spec.resize)

"""Static INT8 quantisation: ranges from calibration images, written as Q/DQ nodes into an ONNX file."""

import copy
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import shape_inference
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_pre_process_metadata
from tqdm import tqdm

from calibration.image_list import ImageList, read_image_list
from calibration.layer_groups import LayerGroup, find_layer_groups
from calibration.onnx_graph import read_network
from calibration.precision_plan import PERCENTILE, Activations, PrecisionPlan
from calibration.range_search import cut_ranges
from calibration.ranges import ActivationRange, ImageBatches, choose_range, observe_extremes, observe_histograms
from calibration.rewrites.equalisation import equalise
from calibration.rewrites.mean_pools import replace_mean_pool_nodes
from calibration.rewrites.stem_blocks import convolve_stem_in_blocks
from calibration.rewrites.stem_rounding import round_stem
from edge_runtime.contract.errors import DataError, ExportError
from edge_runtime.contract.manifest import (
    Build,
    Calibration,
    Input,
    Manifest,
    hash_file,
    read_manifest,
    write_manifest,
)
from edge_runtime.contract.preprocess import in_colour_order, read_image, resize
from edge_runtime.contract.provenance import derive_manifest, describe_file

_CHUNK = 4

# uint8: ONNX Runtime's kernels are fast with it; outputs are quantised too, so that one INT8 step can follow another.
# int8: TensorRT accepts nothing else: zero point 0, float biases, weights through a Q/DQ pair, and Q/DQ nodes before
# convolutions only, so that nothing stands between a convolution and its ReLU.
_STEPS: dict[Activations, list[str]] = {
    "uint8": ["Conv", "Add", "MaxPool", "Relu", "GlobalAveragePool", "Concat", "Sigmoid", "Mul", "Split", "Gemm"],
    "uint8 inputs": ["Conv", "Gemm"],
    "int8": ["Conv", "Gemm"],
}
_OPTIONS: dict[Activations, dict[str, Any]] = {
    "uint8": {"WeightSymmetric": True},
    "uint8 inputs": {"WeightSymmetric": True, "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm"]},
    "int8": {
        "WeightSymmetric": True,
        "ActivationSymmetric": True,
        "QuantizeBias": False,
        "AddQDQPairToWeight": True,
        "OpTypesToExcludeOutputQuantization": ["Conv", "Gemm"],
    },
}


@dataclass(frozen=True)
class Calibrated:
    """A float32 network with all that is needed to quantise any of its layer groups.

    ranges: of every tensor that a group reads or writes. groups: node names, see `find_layer_groups`.
    """

    network: onnx.ModelProto
    ranges: dict[str, ActivationRange]
    groups: dict[LayerGroup, tuple[str, ...]]


def quantize_file(model: Path, output: Path, *, image_list: Path, data: Path, plan: PrecisionPlan) -> Manifest:
    """Write `output`, the float32 network `model` in INT8, and its manifest. The same inputs give the same bytes.

    Weights are symmetric, with one scale per channel. data: the folder that the image list was made from.

    Raises:
        ManifestError: `model` has no valid manifest.
        DataError: list or images cannot be used, or have changed.
        ExportError: `model` is not float32, or cannot be quantised. No file is left then.
    """
    parent = read_float_parent(model)
    images = read_image_list(image_list, data)
    _check_output(output, model)
    calibrated = calibrate(
        read_deployed(model, parent), read_crop_batches(images, data, input_=parent.input), plan=plan
    )
    network = quantize_network(calibrated, activations=plan.activations, kept_in_float=plan.kept_in_float)
    origin = Calibration(
        method=_method_of(plan),
        image_list_sha256=hash_file(image_list),
        count=images.count,
        seed=images.seed,
        split=images.split,
    )
    return write_quantized(network, output, parent=parent, kept_in_float=plan.kept_in_float, calibration=origin)


def read_float_parent(model: Path) -> Manifest:
    """The manifest of a network that can be quantised.

    Raises:
        ManifestError: there is no valid manifest.
        ExportError: the network is not a float32 ONNX file.
    """
    parent = read_manifest(model)
    if parent.artefact.kind != "onnx" or parent.build.precision != "fp32":
        raise ExportError(
            f"expected a float32 ONNX file, found {model}: {parent.artefact.kind} in {parent.build.precision}; "
            "quantise the file that export/to_onnx.py wrote"
        )
    return parent


def read_deployed(model: Path, manifest: Manifest) -> onnx.ModelProto:
    """The network of a file that takes and gives what its manifest says.

    Raises:
        ExportError: it does not, as where the manifest was written by hand.
    """
    network = read_network(model)
    spec = manifest.input
    expected = (spec.tensor, onnx.TensorProto.UINT8, [spec.height_px, spec.width_px, spec.channels])
    weights = {tensor.name for tensor in network.graph.initializer}
    found = [
        (value.name, tensor.elem_type, [dim.dim_value for dim in tensor.shape.dim][1:])
        for value in network.graph.input
        if value.name not in weights and (tensor := value.type.tensor_type)
    ]
    outputs = [value.name for value in network.graph.output]
    if found != [expected] or outputs != [manifest.descriptor.tensor]:
        inputs = ", ".join(
            f"{name} {onnx.TensorProto.DataType.Name(kind).lower()} {tuple(dims)}" for name, kind, dims in found
        )
        raise ExportError(
            f"{model} does not fit its manifest: expected {spec.tensor} uint8 (any, {spec.height_px}, {spec.width_px}, "
            f"{spec.channels}) and {manifest.descriptor.tensor}, found {inputs} and {', '.join(outputs)}; if it is a "
            "network of another toolkit, take it in with export/adopt.py"
        )
    return network


def read_crop_batches(images: ImageList, data: Path, *, input_: Input) -> ImageBatches:
    """The calibration images in small batches, preprocessed as on the device, with a progress bar."""
    paths = [data / image for image in images.images]

    def batches() -> Iterator[NDArray[np.uint8]]:
        starts = range(0, len(paths), _CHUNK)
        for start in tqdm(starts, desc="calibration", unit=f" x {_CHUNK} images", leave=False, disable=None):
            crops = np.stack([_read(path, input_) for path in paths[start : start + _CHUNK]])
            yield in_colour_order(crops, input_.colour_order)

    return batches


def calibrate(network: onnx.ModelProto, batches: ImageBatches, *, plan: PrecisionPlan) -> Calibrated:
    """Rewrite a float32 network for quantising, and find the range of each tensor over the images.

    `network` is changed. Of the plan, `kept_in_float` counts for the stem, and for the
    method `descriptor`.
    """
    if plan.backend == "onnxruntime":
        network = convolve_stem_in_blocks(network)
    network = shape_inference.infer_shapes(replace_mean_pool_nodes(network), strict_mode=True)
    groups = find_layer_groups(network)
    names = _tensors_of(network, {name for members in groups.values() for name in members})
    extremes = observe_extremes(network, names, batches=batches)
    if plan.equalised:
        extremes = equalise(network, extremes)
    if "stem" not in plan.kept_in_float:
        round_stem(network, groups.get("stem", ()), batches=batches, levels=_stem_levels(plan.activations))
    limits = {
        name: (min(float(seen.low.min()), 0.0), max(float(seen.high.max()), 0.0)) for name, seen in extremes.items()
    }
    whole = Calibrated(network, limits, groups)
    if plan.method == "max":
        return whole
    if plan.method == "descriptor":
        quantized = quantize_network(whole, activations=plan.activations, kept_in_float=plan.kept_in_float)
        return Calibrated(network, cut_ranges(quantized, limits, plain=network, batches=batches), groups)
    histograms = observe_histograms(network, limits, batches=batches)
    ranges = {name: choose_range(histogram, plan.method) for name, histogram in histograms.items()}
    return Calibrated(network, ranges, groups)


def quantize_network(
    calibrated: Calibrated, *, activations: Activations, kept_in_float: Iterable[LayerGroup]
) -> onnx.ModelProto:
    """The network with Q/DQ nodes around every layer of the groups that are not kept in float.

    `calibrated` is not changed.

    Raises:
        ExportError: nothing is left to quantise.
    """
    kept = set(kept_in_float)
    nodes = [name for group, names in calibrated.groups.items() if group not in kept for name in names]
    network = copy.deepcopy(calibrated.network)
    add_pre_process_metadata(network)  # shapes are inferred and batch norms folded already
    quantizer = QDQQuantizer(
        network,
        True,  # per channel
        False,
        QuantType.QInt8,
        QuantType.QInt8 if activations == "int8" else QuantType.QUInt8,
        TensorsData(
            CalibrationMethod.MinMax,
            {
                name: TensorData(lowest=np.array(low, np.float32), highest=np.array(high, np.float32))
                for name, (low, high) in calibrated.ranges.items()
            },
        ),
        nodes or ["none"],  # an empty list means all
        [],
        _STEPS[activations],
        _OPTIONS[activations] | {"TensorQuantOverrides": _narrow_weights(calibrated, activations)},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    result: onnx.ModelProto = quantizer.model.model
    if not any(node.op_type == "QuantizeLinear" for node in result.graph.node):
        raise ExportError(
            f"nothing is left to quantise with {', '.join(sorted(kept)) or 'nothing'} kept in float; the network has "
            f"{', '.join(calibrated.groups) or 'no convolutions'}"
        )
    onnx.checker.check_model(result, full_check=True)
    return result


def _stem_levels(activations: Activations) -> int:
    """The largest weight of the stem in steps: see `_narrow_weights`."""
    return 127 if activations == "int8" else 64


def _narrow_weights(calibrated: Calibrated, activations: Activations) -> dict[str, list[dict[str, Any]]]:
    """Seven bits for the weights that meet pixels, where activations are uint8.

    A CPU without VNNI adds two products of uint8 and int8 in 16 bits, which overflow where two pixels are bright and
    their weights large; halved weights cannot. Later tensors seldom have neighbours that are all near 255.
    """
    if activations == "int8":
        return {}
    stem = set(calibrated.groups.get("stem", ()))
    weights = [node.input[1] for node in calibrated.network.graph.node if node.op_type == "Conv" and node.name in stem]
    narrow = {"axis": 0, "quant_type": QuantType.QInt8, "symmetric": True, "reduce_range": True}
    return {name: [dict(narrow)] for name in weights}


def find_quantizable_groups(calibrated: Calibrated, activations: Activations) -> tuple[LayerGroup, ...]:
    """The groups with at least one node that is quantised for these activations; for int8 only convolutions are."""
    steps = {node.name for node in calibrated.network.graph.node if node.op_type in _STEPS[activations]}
    return tuple(group for group, names in calibrated.groups.items() if steps.intersection(names))


def write_quantized(
    network: onnx.ModelProto,
    output: Path,
    *,
    parent: Manifest,
    kept_in_float: tuple[LayerGroup, ...],
    calibration: Calibration | None,
) -> Manifest:
    """Write a quantised network and its manifest, atomically. Returns the manifest.

    Raises:
        ExportError: the file cannot be written.
    """
    partial = output.with_name(output.name + ".partial")
    try:
        partial.write_bytes(network.SerializeToString(deterministic=True))
        artefact = describe_file(partial, parent=parent, kind="onnx", opset=_opset(network))
        os.replace(partial, output)
    except OSError as error:
        raise ExportError(f"cannot write {output}: {error.strerror}; give another --output") from error
    finally:
        partial.unlink(missing_ok=True)
    manifest = derive_manifest(
        parent,
        artefact.model_copy(update={"file": output.name}),
        build=Build(backend="onnxruntime", precision="int8", kept_higher=kept_in_float),
        calibration=calibration,
    )
    write_manifest(manifest, output)
    return manifest


def _read(path: Path, input_: Input) -> NDArray[np.uint8]:
    image = read_image(path)
    if image is None:
        raise DataError(f"the calibration image {path} cannot be decoded; replace it and make the list again")
    return resize(image, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize)


def _tensors_of(network: onnx.ModelProto, nodes: set[str]) -> list[str]:
    """Names of the tensors that the nodes read and write, without constants."""
    made = {name for node in network.graph.node if node.op_type != "Constant" for name in node.output}
    used = [name for node in network.graph.node if node.name in nodes for name in (*node.input, *node.output)]
    return [name for name in dict.fromkeys(used) if name in made]


def _method_of(plan: PrecisionPlan) -> str:
    """As manifests name it, such as `percentile 99.99, equalised`."""
    method = f"percentile {PERCENTILE}" if plan.method == "percentile" else plan.method
    return f"{method}, equalised" if plan.equalised else method


def _opset(network: onnx.ModelProto) -> int:
    return int(next(entry.version for entry in network.opset_import if entry.domain in ("", "ai.onnx")))


def _check_output(output: Path, model: Path) -> None:
    if not output.parent.is_dir() or output.is_dir():
        raise ExportError(f"cannot write {output}: expected a file name in a folder that exists; give another --output")
    if output.exists() and output.samefile(model):
        raise ExportError(f"the INT8 network would replace the float32 one, {output}; give another --output")

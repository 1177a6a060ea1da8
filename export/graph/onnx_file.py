"""Write a checkpoint's network as an ONNX file with its manifest, and prove that both give the same descriptors."""

import os
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import fx, nn

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Fidelity,
    Input,
    Manifest,
    Precision,
    write_manifest,
)
from edge_runtime.contract.preprocess import in_colour_order
from edge_runtime.contract.provenance import derive_manifest, describe_file
from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine
from export.acceptance.acceptance_images import images_of_data
from export.acceptance.comparison import compare_descriptions, fidelity, format_comparison
from export.acceptance.proof_images import proof_images
from export.acceptance.tolerance import usual_tolerance
from export.graph.activation_ranges import LARGEST_HALF, largest_activations
from export.graph.cost import count_graph_cost
from export.graph.deploy import deploy, deploy_in_half_precision
from export.graph.variants import Graph
from train.datasets.catalog import ReidData, load_images
from train.models.checkpoint import LoadedNetwork
from train.models.pixels import describe_with

OPSET = 17  # the newest that TensorRT 8.5 reads
_ALIKE = 1e-6  # entries of unit descriptors that differ by no more than this are rounding
_HEADROOM = 4  # activations of real images may be larger than those of the images that are tried
# Float32 differs only by the order of summation. Float16 has 11 bits; trained networks stay above 0.9999.
_LEAST_COSINE: dict[Precision, float] = {"fp32": 1 - 1e-6, "fp16": 0.999}


def export_network(
    source: LoadedNetwork, path: Path, *, graph: Graph, precision: Precision, data: ReidData | None
) -> Manifest:
    """Write one ONNX file and its manifest after checking it against the checkpoint. With data it is scored too.

    Raises:
        ExportError: the network cannot be exported, or its descriptors differ. No file is left then.
    """
    build = deploy if precision == "fp32" else deploy_in_half_precision
    deployed = build(source.network, source.manifest.input, graph=graph)
    if precision == "fp16":
        _check_half_precision(deployed)
        _check_activations(deploy(source.network, source.manifest.input, graph=graph), source.manifest)
    partial = path.with_name(path.name + ".partial")
    try:
        write_onnx(deployed, partial, input_=source.manifest.input, descriptor=source.manifest.descriptor)
        manifest = _prove(source, partial, precision=precision, data=data)
        os.replace(partial, path)
    except OSError as error:
        if error.filename is not None:
            raise
        raise ExportError(
            f"cannot write {path}: {error.strerror or error}; make room there, or give another --output"
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    artefact = Artefact.model_validate(manifest.artefact.model_dump() | {"file": path.name})
    manifest = manifest.model_copy(update={"artefact": artefact})
    write_manifest(manifest, path)
    cost = count_graph_cost(onnx.load(path))
    print(
        f"{path}: {precision}, {path.stat().st_size / 1e6:.2f} MB, graph {graph} with {cost.nodes} nodes "
        f"({cost.kernels} GPU kernels), backend onnxruntime, space {manifest.space_id}"
    )
    return manifest


def write_onnx(deployed: nn.Module, path: Path, *, input_: Input, descriptor: Descriptor) -> None:
    """Write a deployed network as an ONNX file whose batch is dynamic, and check the file."""
    pixels = torch.zeros((1, input_.height_px, input_.width_px, input_.channels), dtype=torch.uint8)
    batch = {input_.tensor: {0: "batch"}, descriptor.tensor: {0: "batch"}}
    with torch.no_grad(), warnings.catch_warnings():
        # The exporter that torch now prefers cannot write opset 17, which TensorRT 8 needs.
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        # Instance norms use each image's own statistics, as intended, and compare sizes that are fixed.
        warnings.filterwarnings("ignore", "ONNX export mode is set to .* operator 'instance_norm'", UserWarning)
        warnings.filterwarnings("ignore", "Converting a tensor to a Python boolean", module=r"torch\.nn\.")
        torch.onnx.export(
            deployed,
            (pixels,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[input_.tensor],
            output_names=[descriptor.tensor],
            dynamic_axes=batch,
        )
    onnx.checker.check_model(str(path), full_check=True)


def _prove(source: LoadedNetwork, path: Path, *, precision: Precision, data: ReidData | None) -> Manifest:
    """Compare the file with the checkpoint, and score it if there is data. Returns the file's manifest.

    Raises:
        ExportError: the descriptors differ by more than rounding, or the network describes all pictures alike.
    """
    artefact = describe_file(path, parent=source.manifest, kind="onnx", opset=OPSET)
    manifest = derive_manifest(source.manifest, artefact, build=Build(backend="onnxruntime", precision=precision))
    before = describe_with(
        source.network, source.manifest.input, device=torch.device("cpu")
    )  # the network itself, not rewritten
    with OnnxRuntimeEngine(path, manifest, threads=os.cpu_count() or 1) as engine:
        images = _images(manifest, data)
        expected = before(images)
        _refuse_dead(expected)
        _check_equal(fidelity(expected, engine.describe(images)), precision)
        if data is None:
            return manifest
        comparison = compare_descriptions(before, engine.describe, images=images_of_data(data, manifest.input))
    print(format_comparison(comparison))
    excess = comparison.excess(usual_tolerance(precision, queries=comparison.parent.queries))
    if excess:
        raise ExportError(f"the {precision} ONNX file scores worse than the checkpoint: {excess}")
    return manifest.model_copy(update={"evidence": comparison.child})


def _refuse_dead(descriptors: NDArray[np.float32]) -> None:
    """Refuse a network that gives every picture the same descriptor. descriptors: (N, D), of N different pictures."""
    if not np.any(descriptors) or np.allclose(descriptors, descriptors[0], rtol=0, atol=_ALIKE):
        raise ExportError(
            f"the network is dead: it describes {len(descriptors)} different pictures "
            f"{'alike' if np.any(descriptors) else 'by zeros alone'}; give an earlier checkpoint of its training"
        )


def _check_equal(found: Fidelity, precision: Precision) -> None:
    least = _LEAST_COSINE[precision]
    print(
        f"{precision}: cosine to the checkpoint at least {found.cosine_min:.7f}, "
        f"largest difference {found.largest_difference:.1e}, {found.images} images"
    )
    if found.cosine_min < least:
        raise ExportError(
            f"the {precision} ONNX file is not the checkpoint's network: expected a cosine of at least {least} between "
            f"their descriptors, found {found.cosine_min:.6f}; no file was written"
        )


def _images(manifest: Manifest, data: ReidData | None) -> NDArray[np.uint8]:
    """Images without people; and the first query images if there are any."""
    images = proof_images(manifest.input)
    if data is None:
        return images
    height, width = manifest.input.height_px, manifest.input.width_px
    queries = data.query[: len(images)]
    people = load_images(queries, height_px=height, width_px=width, rule=manifest.input.resize)
    return np.concatenate([images, people])


def _check_half_precision(deployed: nn.Module) -> None:
    """Refuse weights that are too large for float16, and print how many are below its normal range."""
    small = total = 0
    for name, weights in deployed.named_parameters():
        if not torch.isfinite(weights).all():
            raise ExportError(
                f"the weights {name.removeprefix('network.')} exceed 65504, the largest float16 number; "
                "export without --half"
            )
        small += int(((weights != 0) & (weights.abs() < torch.finfo(torch.float16).tiny)).sum())
        total += weights.numel()
    if small:
        print(f"fp16: {small} of {total} weights are below float16's normal range (6.1e-5) and lose digits")


def _check_activations(deployed: fx.GraphModule, manifest: Manifest) -> None:
    """Refuse a network whose activations on the images without people exceed a quarter of float16's range.

    Prints the largest activation per part of the network.
    """
    images = in_colour_order(_images(manifest, None), manifest.input.colour_order)
    found = largest_activations(deployed, torch.from_numpy(images))
    print("largest activations: " + ", ".join(f"{part} {value:.4g}" for part, value in found.items()))
    part, value = max(found.items(), key=lambda item: item[1])
    if not value <= LARGEST_HALF / _HEADROOM:
        raise ExportError(
            f"float16 ends at {LARGEST_HALF:g}, and {part} reaches {value:.4g} in float32; export without --half"
        )

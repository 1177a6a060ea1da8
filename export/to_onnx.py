"""Turn a checkpoint into an ONNX file with a manifest, and check that both give the same descriptors."""

import argparse
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import fx, nn

from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Fidelity,
    Input,
    Manifest,
    Precision,
    manifest_path,
    read_manifest,
    write_manifest,
)
from edge_runtime.contract.preprocess import in_colour_order
from edge_runtime.contract.provenance import derive_manifest, describe_file
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine
from export.acceptance.acceptance_images import images_of_data
from export.acceptance.comparison import compare_descriptions, fidelity, format_comparison
from export.acceptance.tolerance import usual_tolerance
from export.graph.activation_ranges import LARGEST_HALF, largest_activations
from export.graph.cost import count_graph_cost
from export.graph.deploy import GRAPHS, deploy, deploy_in_half_precision
from export.graph.public_checkpoint import Facts, load_public_checkpoint
from export.graph.variants import Graph, choose_graph
from train.datasets.catalog import ReidData, load_images, open_folder
from train.models.checkpoint import LoadedNetwork, load_network
from train.models.pixels import describe_with
from train.models.stripes import check_stripes

_EXAMPLES = """\
examples:
  python export/to_onnx.py runs/osnet_cuhk03-scratch-seed0/model.pth --output models --half
  a public checkpoint:
  python export/to_onnx.py osnet_x0_25_msmt17.pth --output models --architecture osnet_x0_25 \\
    --data-set msmt17 --licence "MIT, trained on MSMT17, research only" --height 256 --width 128
"""
OPSET = 17  # the newest that TensorRT 8.5 reads
_PROOF_IMAGES = 16
_HEADROOM = 4  # activations of real images may be larger than those of the images that are tried
# Float32 differs only by the order of summation. Float16 has 11 bits; trained networks stay above 0.9999.
_LEAST_COSINE: dict[Precision, float] = {"fp32": 1 - 1e-6, "fp16": 0.999}


def command() -> int:
    """The installed command `reid-export`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Write the ONNX file or files. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    source = _set_pixels(_open_checkpoint(arguments), arguments.pixels)
    check_stripes(source)
    targets = _choose_targets(arguments, source.manifest)
    data = open_folder(arguments.data) if arguments.data else None
    _make_folder(arguments.output)
    graph = _choose_graph(arguments, source.manifest)
    for path, precision in targets.items():
        export(source, path, graph=graph, precision=precision, data=data)
    return 0


def _set_pixels(source: LoadedNetwork, pixels: str) -> LoadedNetwork:
    """The network with `rgb` or `rgba` pixels in its manifest's input."""
    input_ = source.manifest.input.model_copy(update={"colour_order": pixels.upper()})
    return replace(source, manifest=source.manifest.model_copy(update={"input": input_}))


def _choose_targets(arguments: argparse.Namespace, manifest: Manifest) -> dict[Path, Precision]:
    """The files to write and their precisions.

    Raises:
        ExportError: one of them exists and holds another network.
    """
    stem = arguments.output / (arguments.checkpoint.stem + {"rgb": "", "rgba": "_rgba"}[arguments.pixels])
    targets: dict[Path, Precision] = {stem.with_name(f"{stem.name}.onnx"): "fp32"}
    if arguments.half:
        targets[stem.with_name(f"{stem.name}_fp16.onnx")] = "fp16"
    for path in targets:
        try:
            found = read_manifest(path)
        except ManifestError:  # no file yet, or one that cannot be used
            continue
        if found.space_id != manifest.space_id:
            raise ExportError(f"{path} holds another network, {found.model_id}; choose another --output")
    return targets


def _choose_graph(arguments: argparse.Namespace, manifest: Manifest) -> Graph:
    if arguments.graph != "auto":
        graph: Graph = arguments.graph
        return graph
    variant = choose_graph(arguments.backend, network=manifest.architecture, batch=manifest.artefact.batch_opt)
    print(f"graph for {arguments.backend}: {variant.graph} ({variant.decided_by})")
    return variant.graph


def export(source: LoadedNetwork, path: Path, *, graph: Graph, precision: Precision, data: ReidData | None) -> Manifest:
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
        ExportError: the descriptors differ by more than rounding.
    """
    artefact = describe_file(path, parent=source.manifest, kind="onnx", opset=OPSET)
    manifest = derive_manifest(source.manifest, artefact, build=Build(backend="onnxruntime", precision=precision))
    before = describe_with(
        source.network, source.manifest.input, device=torch.device("cpu")
    )  # the network itself, not rewritten
    with OnnxRuntimeEngine(path, manifest, threads=os.cpu_count() or 1) as engine:
        images = _proof_images(manifest, data)
        _check_equal(fidelity(before(images), engine.describe(images)), precision)
        if data is None:
            return manifest
        comparison = compare_descriptions(before, engine.describe, images=images_of_data(data, manifest.input))
    print(format_comparison(comparison))
    excess = comparison.excess(usual_tolerance(precision, queries=comparison.parent.queries))
    if excess:
        raise ExportError(f"the {precision} ONNX file scores worse than the checkpoint: {excess}")
    return manifest.model_copy(update={"evidence": comparison.child})


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


def _proof_images(manifest: Manifest, data: ReidData | None) -> NDArray[np.uint8]:
    """Seeded noise, coarse to fine; black, white and a checkerboard; the first query images if there are any."""
    height, width = manifest.input.height_px, manifest.input.width_px
    random = np.random.default_rng(0)
    images = np.empty((_PROOF_IMAGES, height, width, 3), np.uint8)
    for index, image in enumerate(images):
        block = 1 << (index % 6)
        coarse = random.integers(0, 256, (-(-height // block), -(-width // block), 3), dtype=np.uint8)
        image[:] = coarse.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]
    images[-3], images[-2] = 0, 255
    images[-1] = 255 * (np.indices((height, width)).sum(axis=0) % 2)[:, :, None]
    if data is None:
        return images
    queries = data.query[:_PROOF_IMAGES]
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
    images = in_colour_order(_proof_images(manifest, None), manifest.input.colour_order)
    found = largest_activations(deployed, torch.from_numpy(images))
    print("largest activations: " + ", ".join(f"{part} {value:.4g}" for part, value in found.items()))
    part, value = max(found.items(), key=lambda item: item[1])
    if not value <= LARGEST_HALF / _HEADROOM:
        raise ExportError(
            f"float16 ends at {LARGEST_HALF:g}, and {part} reaches {value:.4g} in float32; export without --half"
        )


def _open_checkpoint(arguments: argparse.Namespace) -> LoadedNetwork:
    facts = {
        "--architecture": arguments.architecture,
        "--data-set": arguments.data_set,
        "--licence": arguments.licence,
        "--height": arguments.height,
        "--width": arguments.width,
    }
    given = [option for option, value in facts.items() if value is not None]
    missing = [option for option, value in facts.items() if value is None]
    if manifest_path(arguments.checkpoint).exists():
        if given:
            raise ExportError(
                f"{arguments.checkpoint} has a manifest, which states what {', '.join(given)} would; leave them out"
            )
        return load_network(arguments.checkpoint)
    if arguments.checkpoint.name == "resume.pth":  # not a model; reading its manifest gives that message
        return load_network(arguments.checkpoint)
    if not arguments.checkpoint.is_file():
        raise ExportError(f"there is no checkpoint at {arguments.checkpoint}; give the model.pth of a run folder")
    if missing:
        raise ExportError(
            f"{arguments.checkpoint} has no manifest ({manifest_path(arguments.checkpoint).name}); "
            f"copy that with it, or if it is a public checkpoint, state its facts: add {', '.join(missing)}"
        )
    return load_public_checkpoint(
        arguments.checkpoint,
        Facts(
            architecture=arguments.architecture,
            data_set=arguments.data_set,
            licence=arguments.licence,
            height_px=arguments.height,
            width_px=arguments.width,
        ),
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"cannot make the folder {folder}: {error.strerror}; give another --output") from error


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="runs/RECIPE-seed0/model.pth --output models",
        next_step="python export/build_engine.py models/model.onnx --best --data DATA",
        examples=_EXAMPLES,
    )
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of train/run.py, or a public one with its facts")
    parser.add_argument("--output", type=Path, required=True, help="folder for NAME.onnx and its manifest")
    parser.add_argument("--half", action="store_true", help="write NAME_fp16.onnx too, with weights in float16")
    parser.add_argument(
        "--pixels",
        choices=("rgb", "rgba"),
        default="rgb",
        help="rgba: write NAME_rgba.onnx, whose pixels have a fourth channel, 255 everywhere; the first convolution "
        "normalises them then, and no other step is needed (default: %(default)s)",
    )
    parser.add_argument(
        "--data", type=Path, help="folder of a data set or of people of your own; scores go into the manifest"
    )
    parser.add_argument(
        "--graph",
        choices=("auto", *GRAPHS),
        default="auto",
        help="how the network is rewritten: the same function in fewer steps (default: the one that "
        "export/graph/variants.py names for --backend)",
    )
    parser.add_argument(
        "--backend", choices=("onnxruntime", "tensorrt"), default="onnxruntime", help="for --graph auto"
    )
    public = parser.add_argument_group("facts of a checkpoint that has no manifest")
    public.add_argument("--architecture", help="such as osnet_x0_25")
    public.add_argument("--data-set", help="what it was trained on, such as msmt17")
    public.add_argument("--licence", help="terms of its weights and training data")
    public.add_argument("--height", type=int, help="input height in pixels")
    public.add_argument("--width", type=int, help="input width in pixels")
    return parser


if __name__ == "__main__":
    sys.exit(command())

"""Networks with random weights, for times only: any architecture and size, in every graph and precision."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from benchmarks.measuring.sized_network import PRECISIONS, RANDOM, SizedNetwork
from calibration.image_list import write_image_list
from calibration.precision_plan import TargetBackend, default_precision_plan
from calibration.quantization import quantize_file
from calibration.select_images import select_images
from edge_runtime.contract.errors import ReidError
from edge_runtime.contract.manifest import (
    Build,
    Input,
    Precision,
    Terms,
    manifest_path,
    read_manifest,
    write_manifest,
)
from edge_runtime.contract.provenance import derive_manifest, describe_file
from export.graph.deploy import deploy, deploy_in_half_precision
from export.graph.onnx_file import OPSET, write_onnx
from export.graph.variants import Graph, choose_graph
from train.models.catalog import build
from train.models.checkpoint import LoadedNetwork, checkpoint_manifest, load_network, save

_NOISE_IMAGES = 8


@dataclass(frozen=True)
class MadeFile:
    """A file that was made, or the reason why it could not be."""

    name: str
    path: Path
    error: str | None = None


def make_engines(
    case: SizedNetwork, folder: Path, *, backends: Sequence[TargetBackend], batch_max: int
) -> Iterator[MadeFile]:
    """Write a checkpoint, `model.pth`, and engines of it in every precision of a CPU's backends, into `folder`.

    All have the graph that `export/graph/variants.py` names for ONNX Runtime; it is the fastest in OpenVINO, too.
    """
    source = _checkpoint(case, folder)
    graph = choose_graph("onnxruntime", network=case.architecture, batch=batch_max).graph
    for backend in backends:
        for precision in PRECISIONS[backend]:
            path = folder / f"{backend}_{precision}.onnx"
            yield _made(
                f"{backend} {precision}",
                path,
                make=partial(_make, source, path, graph=graph, precision=precision, backend=backend),
            )


def write_networks(
    case: SizedNetwork, folder: Path, *, graphs: Sequence[Graph], precisions: Sequence[Precision]
) -> Iterator[MadeFile]:
    """Write GRAPH_PRECISION.onnx, of which TensorRT engines are built, into `folder`; existing files stay."""
    source = _checkpoint(case, folder)
    for precision in precisions:
        for graph in graphs:
            path = folder / f"{graph}_{precision}.onnx"
            yield _made(
                path.stem,
                path,
                make=partial(_network, source, path, graph=graph, precision=precision, backend="tensorrt"),
            )


def _made(name: str, path: Path, *, make: Callable[[], object]) -> MadeFile:
    try:
        make()
    except ReidError as error:
        return MadeFile(name, path, error=str(error))
    return MadeFile(name, path)


def _checkpoint(case: SizedNetwork, folder: Path) -> LoadedNetwork:
    path = folder / "model.pth"
    if not manifest_path(path).exists():
        _write_checkpoint(case, path)
    return load_network(path)


def _write_checkpoint(case: SizedNetwork, path: Path) -> None:
    """Write a checkpoint of random weights. Its batch norms are fitted to noise, so that activations stay finite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = build(case.architecture, classes=2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    with torch.no_grad():
        network.train()(torch.randn(4, 3, case.height_px, case.width_px))
        for parameter in network.parameters():  # the exporter joins equal tensors, which trained networks do not have
            parameter.add_(1e-3 * torch.randn_like(parameter))
    network.eval()
    save({"state_dict": network.state_dict()}, path)
    manifest = checkpoint_manifest(
        path,
        network,
        architecture=case.architecture,
        data_set="random",
        recipe="none",
        input_=Input(height_px=case.height_px, width_px=case.width_px),
        terms=Terms(weights=RANDOM, training_data="none"),
    )
    write_manifest(manifest, path)


def _make(source: LoadedNetwork, path: Path, *, graph: Graph, precision: Precision, backend: TargetBackend) -> None:
    """Write an engine of a CPU's backend: the network's file, with a manifest that names the backend."""
    # What OpenVINO computes in bfloat16 is the float32 file. Each backend wants other layers in INT8.
    held: Precision = "fp32" if precision == "bf16" else precision
    network = path.with_name(f"{graph}_{held}{f'_{backend}' if held == 'int8' else ''}.onnx")
    _network(source, network, graph=graph, precision=held, backend=backend)
    shutil.copyfile(network, path)
    manifest = read_manifest(network)
    build_ = manifest.build.model_copy(update={"backend": backend, "precision": precision})
    write_manifest(manifest.model_copy(update={"build": build_}), path)


def _network(source: LoadedNetwork, path: Path, *, graph: Graph, precision: Precision, backend: TargetBackend) -> None:
    """Write the ONNX file of a graph and precision and its manifest, unless they exist."""
    if manifest_path(path).exists():
        return
    if precision == "int8":
        parent = path.with_name(f"{graph}_fp32.onnx")
        _network(source, parent, graph=graph, precision="fp32", backend=backend)
        noise = _write_noise(path.parent / "noise")
        quantize_file(parent, path, image_list=noise / "list.json", data=noise, plan=default_precision_plan(backend))
        return
    make = deploy_in_half_precision if precision == "fp16" else deploy
    spec, descriptor = source.manifest.input, source.manifest.descriptor
    write_onnx(make(source.network, spec, graph=graph), path, input_=spec, descriptor=descriptor)
    artefact = describe_file(path, parent=source.manifest, kind="onnx", opset=OPSET)
    build_ = Build(backend="onnxruntime", precision=precision)
    write_manifest(derive_manifest(source.manifest, artefact, build=build_), path)


def _write_noise(folder: Path) -> Path:
    """Write calibration images of noise, in Market-1501's layout, and their list: speed does not depend on them."""
    if (folder / "list.json").exists():
        return folder
    split = folder / "bounding_box_train"
    split.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    for index in range(_NOISE_IMAGES):
        image = cv2.resize(random.integers(0, 256, (8, 4, 3), dtype=np.uint8), (64, 128))
        cv2.imwrite(str(split / f"{index // 4 + 1:04d}_c{index % 2 + 1}s1_{index:06d}_00.jpg"), image)
    write_image_list(select_images(folder, count=_NOISE_IMAGES, seed=0), folder / "list.json")
    return folder

"""Engines with random weights, for times only: any architecture and size, in every precision of every backend."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from torch import nn

from calibration.choice import Backend, default_choice
from calibration.image_list import write_image_list
from calibration.quantization import quantize
from calibration.select_images import select
from edge_runtime.contract.errors import ReidError
from edge_runtime.contract.manifest import Build, Input, Manifest, Precision, Terms, read_manifest, write_manifest
from edge_runtime.contract.provenance import describe_file, successor
from export.deploy_graph import deploy, deploy_in_half_precision
from export.graph_choice import Graph, choose_graph
from export.to_onnx import OPSET, write_onnx
from measuring.plans import write_plan
from train.checkpoint import LoadedNetwork, checkpoint_manifest, load_network, save
from train.models.catalog import build

BACKENDS: tuple[Backend, ...] = ("onnxruntime", "openvino", "tensorrt")
PRECISIONS: dict[Backend, tuple[Precision, ...]] = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "tensorrt": ("fp32", "fp16", "int8"),
}
_NOISE_IMAGES = 32
_RANDOM = "random numbers"


@dataclass(frozen=True)
class Case:
    """An architecture at an input size."""

    architecture: str
    height_px: int
    width_px: int

    def __str__(self) -> str:
        return f"{self.architecture} {self.height_px}x{self.width_px}"


@dataclass(frozen=True)
class Made:
    """An engine that was made, or the sentence that says why it could not be."""

    name: str
    path: Path
    error: str | None = None


@dataclass(frozen=True)
class _Plan:
    """What to make of a checkpoint. noise: the folder with the images to calibrate with."""

    backend: Backend
    graph: Graph
    precision: Precision
    noise: Path
    batch_max: int


def is_random(manifest: Manifest) -> bool:
    """Whether a model was made here, to be timed only."""
    return manifest.terms.weights == _RANDOM


def write_checkpoint(case: Case, path: Path) -> None:
    """A checkpoint of random weights whose batch norms hold the statistics of noise, so that no number explodes."""
    torch.manual_seed(0)
    network = build(case.architecture, classes=2)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = None  # the mean over what it saw
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
        terms=Terms(weights=_RANDOM, training_data="none"),
    )
    write_manifest(manifest, path)


def make_engines(
    case: Case, folder: Path, *, backends: Sequence[Backend], graphs: Sequence[Graph] = (), batch_max: int
) -> Iterator[Made]:
    """Write a checkpoint, `model.pth`, and from it every backend's precisions into `folder`.

    graphs: those to try; without any, the one that `export/graph_choice.py` names for the backend.
    """
    checkpoint = folder / "model.pth"
    write_checkpoint(case, checkpoint)
    if not backends:
        return
    source = load_network(checkpoint)
    noise = _write_noise(folder / "noise")
    for backend in backends:
        for graph in graphs or (_graph_for(backend, case, batch=batch_max),):
            for precision in PRECISIONS[backend]:
                name = f"{backend} {precision}" + (f" {graph}" if graphs else "")
                path = folder / (name.replace(" ", "_") + (".engine" if backend == "tensorrt" else ".onnx"))
                try:
                    _make(source, path, _Plan(backend, graph, precision, noise, batch_max))
                except ReidError as error:
                    yield Made(name, path, error=str(error))
                else:
                    yield Made(name, path)


def _graph_for(backend: Backend, case: Case, *, batch: int) -> Graph:
    # OpenVINO is asked for on the same machines as ONNX Runtime, and likes the same graph.
    known: Literal["onnxruntime", "tensorrt"] = "tensorrt" if backend == "tensorrt" else "onnxruntime"
    return choose_graph(known, network=case.architecture, batch=batch).graph


def _make(source: LoadedNetwork, path: Path, plan: "_Plan") -> None:
    network = _network(source, path.parent, plan)
    if plan.backend == "tensorrt":
        write_plan(network, path, batch_max=plan.batch_max)
        return
    shutil.copyfile(network, path)
    manifest = read_manifest(network)
    build_ = manifest.build.model_copy(update={"backend": plan.backend, "precision": plan.precision})
    write_manifest(manifest.model_copy(update={"build": build_}), path)


def _network(source: LoadedNetwork, folder: Path, plan: "_Plan") -> Path:
    """The ONNX file that holds an engine's graph and precision, with its manifest; written once."""
    # What OpenVINO computes in bfloat16 is the float32 file. Each backend wants other layers in INT8.
    precision: Precision = "fp32" if plan.precision == "bf16" else plan.precision
    path = folder / f"network_{plan.graph}_{precision}{f'_{plan.backend}' if precision == 'int8' else ''}.onnx"
    if path.exists():
        return path
    if precision == "int8":
        parent = _network(source, folder, replace(plan, precision="fp32"))
        choice = default_choice(plan.backend)
        quantize(parent, path, image_list=plan.noise / "list.json", data=plan.noise, choice=choice)
        return path
    make = deploy_in_half_precision if precision == "fp16" else deploy
    spec, descriptor = source.manifest.input, source.manifest.descriptor
    write_onnx(make(source.network, spec, graph=plan.graph), path, input_=spec, descriptor=descriptor)
    artefact = describe_file(path, parent=source.manifest, kind="onnx", opset=OPSET)
    build_ = Build(backend="onnxruntime", precision=precision)
    write_manifest(successor(source.manifest, artefact, build=build_), path)
    return path


def _write_noise(folder: Path) -> Path:
    """Images to calibrate with, in Market-1501's layout, and their list: speed does not depend on what they show."""
    shutil.rmtree(folder, ignore_errors=True)
    split = folder / "bounding_box_train"
    split.mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(_NOISE_IMAGES):
        image = cv2.resize(random.integers(0, 256, (8, 4, 3), dtype=np.uint8), (64, 128))
        cv2.imwrite(str(split / f"{index // 4 + 1:04d}_c{index % 2 + 1}s1_{index:06d}_00.jpg"), image)
    write_image_list(select(folder, count=_NOISE_IMAGES, seed=0), folder / "list.json")
    return folder

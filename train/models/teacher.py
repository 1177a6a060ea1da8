"""Networks that teach: their descriptors of all training images and of the mirrored ones, computed once and kept."""

import hashlib
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.descriptor import Describe, normalise
from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import Input, hash_file
from edge_runtime.engine.openvino_engine import load_openvino
from train.datasets.samples import Images
from train.models.open_model import open_model

_CHUNK = 64


@dataclass(frozen=True)
class Teacher:
    """A network whose descriptors are learned. input_: the images it takes. terms: licence of its weights."""

    name: str
    sha256: str
    terms: str
    input_: Input
    describe: Describe


def open_teacher(path: Path, stack: ExitStack) -> Teacher:
    """Open a checkpoint, an ONNX file or an engine by its manifest, or a network of Open Model Zoo (`.xml`).

    Raises:
        ConfigError: the network of an `.xml` file takes other inputs than Open Model Zoo's re-identification networks.
        ManifestError, CheckpointError, EngineError: see `open_model`.
    """
    if path.suffix == ".xml":
        return _open_ir(path)
    opened = open_model(path, stack)
    manifest = opened.manifest
    return Teacher(manifest.model_id, manifest.artefact.sha256, manifest.terms.weights, manifest.input, opened.describe)


def describe_all(teacher: Teacher, images: Images, *, cache: Path) -> NDArray[np.float32]:
    """Descriptors of unit length, (2N, D): rows 2n and 2n + 1 are of image n and of its mirror image.

    cache: a file that is read if it is there and else written.

    Raises:
        DataError: an image cannot be decoded, or the teacher gives something else than finite numbers.
        ConfigError: the file cannot be written.
    """
    if cache.exists():
        return np.asarray(np.load(cache), np.float32)
    rows: list[NDArray[np.float32]] = []
    size = teacher.input_
    with tqdm(total=len(images), desc=f"teacher {teacher.name}", unit="image", leave=False, disable=None) as bar:
        for start in range(0, len(images), _CHUNK):
            positions = np.arange(start, min(start + _CHUNK, len(images)))
            plain = images.read(positions, height_px=size.height_px, width_px=size.width_px, rule=size.resize)
            both = np.stack([plain, plain[:, :, ::-1]], axis=1).reshape(-1, *plain.shape[1:])  # (2n, H, W, 3)
            rows.append(normalise(teacher.describe(both)))
            bar.update(len(positions))
    descriptors = np.concatenate(rows)
    if not np.isfinite(descriptors).all():
        raise DataError(f"the descriptors of teacher {teacher.name} are not all finite numbers; give another teacher")
    _keep(descriptors, cache)
    return descriptors


def _keep(descriptors: NDArray[np.float32], cache: Path) -> None:
    """Write the file as a whole, so that a stop leaves no half-written one."""
    partial = cache.with_name(cache.name + ".partial")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            np.save(file, descriptors)
        os.replace(partial, cache)
    except OSError as error:
        raise ConfigError(f"cannot write {cache}: {error.strerror}; give another --output") from error


def _open_ir(path: Path) -> Teacher:
    """A network in OpenVINO's own format, in the form of Open Model Zoo's re-identification networks."""
    openvino = load_openvino()
    core = openvino.Core()
    try:
        network = core.read_model(path)
    except RuntimeError as error:
        raise ConfigError(f"OpenVINO cannot read {path}; is its .bin file beside it, and complete?") from error
    found = [f"{each.element_type.get_type_name()} {each.partial_shape.to_string()}" for each in network.inputs]
    match = re.fullmatch(r"f32 \[1,3,(\d+),(\d+)\]", found[0]) if len(found) == 1 else None
    if match is None or len(network.outputs) != 1:
        raise ConfigError(
            f"expected one input f32 [1,3,HEIGHT,WIDTH] and one output in {path}, as Open Model Zoo's networks for "
            f"re-identification have, found {', '.join(found)} and {len(network.outputs)} outputs; give another teacher"
        )
    name = f"{path.parent.name}/{path.name}"
    return Teacher(
        name=name,
        sha256=hashlib.sha256((hash_file(path) + hash_file(path.with_suffix(".bin"))).encode()).hexdigest(),
        terms="as its source says; Open Model Zoo: Apache-2.0, training data undisclosed",
        input_=Input(height_px=int(match[1]), width_px=int(match[2])),
        describe=_describe_one_by_one(openvino, core.compile_model(network, "CPU", {"PERFORMANCE_HINT": "THROUGHPUT"})),
    )


def _describe_one_by_one(openvino: Any, compiled: Any) -> Describe:
    """Some of these networks refuse batches, so each request is one image; requests run side by side."""
    queue = openvino.AsyncInferQueue(compiled)

    def describe(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(images)

        def keep(request: Any, number: int) -> None:
            rows[number] = request.get_output_tensor(0).data.ravel().copy()

        queue.set_callback(keep)
        for number, image in enumerate(images):
            bgr = image[:, :, ::-1].transpose(2, 0, 1)[None]  # (1, 3, H, W)
            queue.start_async({0: np.ascontiguousarray(bgr, np.float32)}, number)
        queue.wait_all()
        return np.stack(rows)

    return describe

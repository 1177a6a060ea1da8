"""Take another toolkit's network in: rewrite it, prove it equal to the original, and write its manifest."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from edge_runtime.contract.descriptor import Describe, normalise
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import (
    Artefact,
    Build,
    Descriptor,
    Fidelity,
    Input,
    Manifest,
    Part,
    ResizeRule,
    Terms,
    hash_file,
    space_id,
    write_manifest,
)
from edge_runtime.contract.provenance import read_commit, read_utc
from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine
from edge_runtime.engine.openvino_engine import load_openvino
from export.acceptance.acceptance_images import AcceptanceImages
from export.acceptance.comparison import compare_descriptions, fidelity, format_comparison
from export.acceptance.tolerance import usual_tolerance
from export.building.foreign_graph import deploy_foreign, length_of
from export.building.foreign_network import ForeignNetwork
from export.building.pixel_form import PixelForm

_LEAST_COSINE = 1 - 1e-6  # only the order of summation may differ
_LEAST_COSINE_OF_IR = 0.9999  # another library runs it: as export/acceptance/tolerance.py has it for float32


@dataclass(frozen=True)
class Adoption:
    """What a user states about a network, because no file says it.

    original: what descriptors are proved equal to: the file itself, or the OpenVINO IR (`.xml`) it was converted from.
    licence: of the weights. trained_on: the images, and their terms. source: where the file is from.
    """

    network: ForeignNetwork
    original: Path
    form: PixelForm
    name: str
    licence: str
    trained_on: str
    source: str
    resize: ResizeRule = "bilinear-half-pixel"

    @property
    def input(self) -> Input:
        """The deployed network's input."""
        return self.form.as_input(self.network.height_px, self.network.width_px, resize=self.resize)


def adopt_network(
    adoption: Adoption, path: Path, *, crops: NDArray[np.uint8], images: AcceptanceImages | None = None
) -> Manifest:
    """Write the deployed network and its manifest to `path` after proving it equal to the original.

    crops: (N, H, W, 3) uint8, RGB, at the network's size, on which both are compared. images: query and gallery on
    which it is scored too.

    Raises:
        ExportError: it cannot be deployed, or its descriptors differ from the original's. No file is left then.
    """
    network, partial = adoption.network, path.with_name(path.name + ".partial")
    try:
        model = deploy_foreign(network, adoption.form, input_=adoption.input, descriptor="descriptor")
        partial.write_bytes(model.SerializeToString(deterministic=True))
        manifest = _manifest_of(adoption, partial, name=path.name, model=model)
        manifest = _prove(adoption, partial, manifest=manifest, crops=crops, images=images)
        os.replace(partial, path)
    except OSError as error:
        raise ExportError(f"cannot write {path}: {error.strerror or error}; give another --output") from error
    finally:
        partial.unlink(missing_ok=True)
    write_manifest(manifest, path)
    return manifest


def _manifest_of(adoption: Adoption, file: Path, *, name: str, model: onnx.ModelProto) -> Manifest:
    length = length_of(model, path=adoption.network.path)
    descriptor = Descriptor(length=length, parts=(Part(name="global", length=length),))
    origin = _hash_original(adoption.original)
    weights = _identity(origin, adoption)
    data_set = as_word(adoption.trained_on.partition(",")[0])
    return Manifest(
        model_id=f"{adoption.name}-{data_set}-{weights[:8]}",
        architecture=adoption.name,
        weights_sha256=weights,
        recipe=f"none: adopted from {adoption.original.name}, {adoption.source}",
        commit=read_commit(),
        created=read_utc(),
        space_id=space_id(weights, adoption.input, descriptor=descriptor),
        input=adoption.input,
        descriptor=descriptor,
        artefact=Artefact(
            kind="onnx",
            file=name,
            sha256=hash_file(file),
            parent_sha256=origin,
            opset=next(entry.version for entry in model.opset_import if entry.domain == ""),
        ),
        build=Build(backend="onnxruntime", precision="fp32"),
        terms=Terms(weights=adoption.licence, training_data=adoption.trained_on),
    )


def as_word(text: str) -> str:
    """The text in the letters that a model's id may have: a-z, 0-9 and _."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"


def _hash_original(path: Path) -> str:
    """Digest of the file with the original's weights: of an IR that is its .bin, which releases have in common."""
    return hash_file(path.with_suffix(".bin") if path.suffix == ".xml" else path)


def _identity(origin: str, adoption: Adoption) -> str:
    """Digest of what a manifest's input does not say and descriptors depend on: weights, order of colours, output."""
    text = json.dumps([origin, adoption.form.order, adoption.network.output])
    return hashlib.sha256(text.encode()).hexdigest()


def _prove(
    adoption: Adoption, file: Path, *, manifest: Manifest, crops: NDArray[np.uint8], images: AcceptanceImages | None
) -> Manifest:
    """Compare the deployed network with the original, and score it if there are images. Returns its manifest.

    The original gets its values from numpy, one crop at a time, and so shares no step with what is proved.
    """
    describe_original = original_of(adoption)
    with OnnxRuntimeEngine(file, manifest, threads=os.cpu_count() or 1) as engine:
        found = fidelity(describe_original(crops), engine.describe(crops))
        _check_equal(found, adoption)
        if images is None:
            return manifest
        comparison = compare_descriptions(describe_original, engine.describe, images=images)
    print(format_comparison(comparison))
    excess = comparison.excess(usual_tolerance("fp32", queries=comparison.parent.queries))
    if excess:
        raise ExportError(f"the deployed network scores worse than {adoption.original}: {excess}; no file was written")
    return manifest.model_copy(update={"evidence": comparison.child})


def _check_equal(found: Fidelity, adoption: Adoption) -> None:
    print(
        f"cosine to {adoption.original} at least {found.cosine_min:.7f}, largest difference "
        f"{found.largest_difference:.1e}, {found.images} images"
    )
    least = _LEAST_COSINE_OF_IR if adoption.original.suffix == ".xml" else _LEAST_COSINE
    if found.cosine_min >= least:
        return
    fixed = adoption.network.batch
    advice = (
        "" if fixed is None else f"; it was exported for {fixed} image(s) at a time: export it with a dynamic batch"
    )
    raise ExportError(
        f"the deployed network is not {adoption.original}: expected a cosine of at least {least} between their "
        f"descriptors, found {found.cosine_min:.6f}{advice}; no file was written"
    )


def original_of(adoption: Adoption) -> Describe:
    """The original as a function from RGB crops to descriptors of unit length.

    Raises:
        ExportError: it cannot be opened, or takes something else than its ONNX file does.
    """
    network = adoption.network
    run = _open_ir(adoption) if adoption.original.suffix == ".xml" else _open_onnx(adoption)

    def describe(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = []
        for crop in tqdm(crops, desc=adoption.original.name, unit="image", leave=False, disable=None):
            values = network.arrange(adoption.form.apply(crop[None]))
            values = values.astype(np.uint8) if network.takes_bytes else values
            rows.append(run(np.repeat(values, network.batch or 1, axis=0))[0].ravel())
        return normalise(np.stack(rows))

    return describe


def _open_onnx(adoption: Adoption) -> Callable[[NDArray[np.generic]], NDArray[np.float32]]:
    network = adoption.network
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(adoption.original, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a class of its own per fault, most of them not public
        reason = (str(error).splitlines() or ["it gives no reason"])[0]
        raise ExportError(f"ONNX Runtime cannot run {adoption.original}: {reason}; export it again") from error
    return lambda values: np.asarray(session.run([network.output], {network.input: values})[0], np.float32)


def _open_ir(adoption: Adoption) -> Callable[[NDArray[np.generic]], NDArray[np.float32]]:
    openvino = load_openvino()
    core = openvino.Core()
    try:
        model = core.read_model(adoption.original)
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise ExportError(
            f"OpenVINO cannot read {adoption.original}; is its .bin file beside it, and complete?"
        ) from error
    if len(compiled.inputs) != 1 or len(compiled.outputs) != 1:
        raise ExportError(
            f"expected one input and one output in {adoption.original}, found {len(compiled.inputs)} and "
            f"{len(compiled.outputs)}; convert a network that describes people"
        )
    request = compiled.create_infer_request()
    return lambda values: np.array(request.infer({0: values})[0], np.float32)

"""The manifest of a model file: its input, its output, its origin and its scores.

A manifest is a JSON file beside its artefact (`model.onnx` -> `model.onnx.json`), written once and never edited.
Each step (training, export, quantization, engine build) writes a new one for its own output and names its parent's
SHA-256.
"""

import hashlib
import json
from codecs import BOM_UTF8
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveInt, ValidationError, model_validator

from edge_runtime.contract.errors import ManifestError
from edge_runtime.contract.external_weights import REMEDY, keeps_weights_elsewhere
from edge_runtime.contract.script import replace_file
from edge_runtime.contract.strict_model import StrictModel

Sha256 = Field(pattern=r"^[0-9a-f]{64}$")
Precision = Literal["fp32", "fp16", "bf16", "int8"]
ColourOrder = Literal["RGB", "RGBA"]
ResizeRule = Literal["bilinear-half-pixel", "bicubic-half-pixel"]
"""How `preprocess.resize` resizes a crop to the network's input."""


class Input(StrictModel):
    """The input of the deployed network: (N, height_px, width_px, channels) uint8.

    colour_order: the fourth channel of RGBA is 255 everywhere, see `preprocess.in_colour_order`.
    """

    tensor: str = "pixels"
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    height_px: PositiveInt
    width_px: PositiveInt
    colour_order: ColourOrder = "RGB"
    value_range: tuple[int, int] = (0, 255)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: ResizeRule = "bilinear-half-pixel"

    @property
    def channels(self) -> int:
        """Numbers per pixel."""
        return len(self.colour_order)


class Part(StrictModel):
    """One named part of a concatenated descriptor."""

    name: str
    length: PositiveInt


class Descriptor(StrictModel):
    """The output of the deployed network: (N, length) float32, not yet L2-normalised."""

    tensor: str = "descriptor"
    length: PositiveInt
    parts: tuple[Part, ...]
    normalisation: Literal["l2"] = "l2"
    distance: Literal["cosine"] = "cosine"

    @model_validator(mode="after")
    def _parts_fill_the_length(self) -> "Descriptor":
        if sum(part.length for part in self.parts) != self.length:
            raise ValueError(f"the parts add up to {sum(p.length for p in self.parts)}, not to length {self.length}")
        return self


class Artefact(StrictModel):
    """The file that the manifest describes."""

    kind: Literal["checkpoint", "onnx", "engine"]
    file: str
    sha256: str = Sha256
    parent_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    opset: int | None = None
    batch_min: PositiveInt = 1
    batch_opt: PositiveInt = 8
    batch_max: PositiveInt = 32


class Build(StrictModel):
    """Which backend runs the artefact, in which precision; for an engine, also what it was built from, and where.

    gpu to power_mode: see `engine.tensorrt.cuda.Device`.
    network_sha256: SHA-256 of the ONNX file (of the quantized one for INT8) that the engine was built from.
    """

    backend: Literal["torch", "onnxruntime", "openvino", "tensorrt"]
    precision: Precision
    kept_higher: tuple[str, ...] = ()
    network_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    workspace_mib: PositiveInt | None = None
    optimisation_level: int | None = None
    tensorrt: str | None = None
    cuda: str | None = None
    gpu: str | None = None
    compute_capability: str | None = None
    l4t: str | None = None
    multiprocessors: int | None = None
    memory_gib: int | None = None
    board: str | None = None
    power_mode: str | None = None


class Calibration(StrictModel):
    """Origin of the INT8 ranges: which images, chosen how."""

    method: str
    image_list_sha256: str = Sha256
    count: PositiveInt
    seed: int
    split: str


class Score(StrictModel):
    """A figure in [0, 1] with its 95 % bootstrap interval over queries."""

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class Fidelity(StrictModel):
    """How close the descriptors are to the parent's, over the images of the evidence."""

    cosine_mean: float
    cosine_min: float
    largest_difference: float
    images: PositiveInt


class Change(StrictModel):
    """A figure of this artefact minus the parent's, with its 95 % bootstrap interval.

    Both figures are measured on the same queries, which are drawn in pairs, so the interval is narrower than that of
    either figure.
    """

    value: float
    low: float
    high: float


class Verification(StrictModel):
    """Verification (same person or not) by a threshold on the cosine, at a fixed false positive rate.

    threshold: a pair with a higher cosine is accepted. threshold_change: this artefact's threshold minus the parent's.
    """

    false_positive_rate: float = Field(gt=0, lt=1)
    true_positive_rate: Score
    true_positive_rate_change: Change
    threshold: float
    threshold_change: Change


class Crossing(StrictModel):
    """Retrieval where one engine describes the queries and another one the gallery.

    query, gallery: precision and backend of each, such as `int8 tensorrt`. The changes are relative to the float32
    parent describing both.
    """

    query: str
    gallery: str
    rank1: Score
    mean_ap: Score
    rank1_change: Change
    mean_ap_change: Change


class Evidence(StrictModel):
    """Retrieval scores of this artefact, measured with its own descriptors.

    images_sha256: SHA-256 of the packed image set, if one was used instead of a data set's folder.
    crossed_rank1, crossed_mean_ap: the parent describes the queries, this artefact the gallery, because cameras of one
    site may use different precisions; `precisions` has every pair.
    site: how close the descriptors of crops from the deployment site are to the parent's.
    """

    data_set: str
    protocol: str
    images_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    queries: PositiveInt
    gallery: PositiveInt
    rank1: Score
    mean_ap: Score
    mean_inp: Score
    to_parent: Fidelity | None = None
    site: Fidelity | None = None
    parent_rank1: float | None = None
    parent_mean_ap: float | None = None
    rank1_change: Change | None = None
    mean_ap_change: Change | None = None
    mean_inp_change: Change | None = None
    crossed_rank1: float | None = None
    crossed_mean_ap: float | None = None
    precisions: tuple[Crossing, ...] = ()
    verification: tuple[Verification, ...] = ()


class Terms(StrictModel):
    """Licences of the weights and of the data they were trained on."""

    weights: str
    training_data: str


class TrainedOn(StrictModel):
    """Whose images trained. people_sha256: digest of the names or numbers of the people."""

    data_set: str
    people_sha256: str = Sha256


class Manifest(StrictModel):
    """The manifest. Its fields are described in the classes above."""

    schema_version: Literal[1] = 1
    model_id: str = Field(pattern=r"^[a-z0-9_]+-[a-z0-9_]+-[0-9a-f]{8}$")
    architecture: str
    weights_sha256: str = Sha256
    recipe: str
    commit: str
    created: str
    space_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    input: Input
    descriptor: Descriptor
    artefact: Artefact
    build: Build
    calibration: Calibration | None = None
    evidence: Evidence | None = None
    trained_on: TrainedOn | None = None
    terms: Terms

    @model_validator(mode="after")
    def _identity_is_derived(self) -> "Manifest":
        if self.space_id != space_id(self.weights_sha256, self.input, descriptor=self.descriptor):
            raise ValueError("space_id does not follow from weights, input and descriptor")
        if not self.model_id.endswith(f"-{self.weights_sha256[:8]}"):
            raise ValueError("model_id does not end with the first 8 digits of weights_sha256")
        return self


def space_id(weights_sha256: str, input_: Input, *, descriptor: Descriptor) -> str:
    """Id of the space in which descriptors may be compared: 16 hexadecimal digits.

    It is a digest of weights, preprocessing, output and normalisation. Precision, file format and the fourth channel of
    RGBA are not part of it: they change descriptors only slightly or not at all.
    """
    preprocessing = input_.model_dump(mode="json", exclude={"tensor"}) | {"colour_order": "RGB"}
    output = descriptor.model_dump(mode="json", exclude={"tensor"})
    text = json.dumps([weights_sha256, preprocessing, output], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def manifest_path(artefact: Path) -> Path:
    """Path of an artefact's manifest: the artefact's path with `.json` appended."""
    return artefact.with_name(artefact.name + ".json")


def hash_file(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits.

    Raises:
        ManifestError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}; give the path of a model file") from error
    return digest.hexdigest()


def read_manifest(artefact: Path) -> Manifest:
    """Read the manifest of an artefact and check that the artefact has the SHA-256 that it names.

    Raises:
        ManifestError: manifest or artefact missing, fields wrong (all are listed), another SHA-256, or weights in a
            second file, which no digest covers.
    """
    found = hash_file(artefact)
    path = manifest_path(artefact)
    try:
        manifest = Manifest.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except FileNotFoundError as error:
        raise ManifestError(f"{artefact} has no manifest: expected {path.name} beside it; {_remedy(path)}") from error
    except OSError as error:
        raise ManifestError(f"cannot read {path}: {error.strerror}") from error
    except ValidationError as error:
        raise ManifestError(f"{path} is not a valid manifest: {_list_faults(error)}; export the model again") from error
    if manifest.artefact.sha256 != found:
        raise ManifestError(
            f"{artefact} is not the file its manifest describes: expected SHA-256 {manifest.artefact.sha256}, "
            f"found {found}; the file is damaged or was replaced, copy or export both again"
        )
    if manifest.artefact.kind == "onnx":
        _check_is_whole(artefact)
    return manifest


def _check_is_whole(artefact: Path) -> None:
    with artefact.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        if keeps_weights_elsewhere(content):
            raise ManifestError(
                f"{artefact} keeps its weights in another file: expected one file, so that its digest covers them; "
                f"{REMEDY}, and export it again"
            )


def _remedy(missing: Path) -> str:
    if missing.name == "resume.pth.json":
        return "this file is for --resume, use model.pth of the finished run"
    if missing.name.endswith(".pth.json"):
        return f"copy {missing.name} with it"
    again = f"copy {missing.name} with it, or export it again"
    foreign = missing.name.endswith((".onnx.json", ".xml.json"))
    return again + ("; a network of another toolkit is taken in by export/adopt.py" if foreign else "")


def write_manifest(manifest: Manifest, artefact: Path) -> Path:
    """Write the manifest of an artefact, atomically. Returns its path.

    Raises:
        ManifestError: it cannot be written.
    """
    path = manifest_path(artefact)
    try:
        replace_file(path, manifest.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ManifestError(f"cannot write {path}: {error.strerror}; is the folder there, with room in it?") from error
    return path


def _list_faults(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'manifest'}: {e['msg']}" for e in error.errors())

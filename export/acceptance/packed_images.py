"""A packed file of test crops, so that an engine can be accepted on a device that has no data set."""

import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.script import replace_file
from export.acceptance.acceptance_images import AcceptanceImages, Crops, crops_of_samples
from train.datasets.catalog import ReidData, Sample

USUAL_PEOPLE = 100
_PER_CAMERA = 3
_SPLITS = ("query", "gallery")


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    data_set: str
    terms: str
    input: Input
    sha256: str
    has_cameras: bool = True


@dataclass(frozen=True)
class ChosenImages:
    """The test images that are packed."""

    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]


def choose_images(data: ReidData, *, identities: int | None = None, seed: int = 0) -> ChosenImages:
    """Choose test people, and at most three images of each per camera and split. The same arguments choose the same.

    identities: None for `USUAL_PEOPLE`, or for all people if there are fewer.
    People of the training split are not chosen, nor people whom only one camera saw.

    Raises:
        DataError: there are fewer such identities.
    """
    able = _identities_to_find(data)
    identities = min(USUAL_PEOPLE, len(able)) if identities is None else identities
    if not 0 < identities <= len(able):
        raise DataError(
            f"expected --identities from 1 to the {len(able)} of {data.name} that can be found across cameras and "
            f"were not trained with, found {identities}"
        )
    random = Random(seed)
    chosen = set(random.sample(able, identities))
    return ChosenImages(*(_some(split, chosen, random=random) for split in (data.query, data.gallery)))


def _identities_to_find(data: ReidData) -> list[int]:
    cameras_of: dict[int, set[int]] = {}
    for sample in data.gallery:
        cameras_of.setdefault(sample.identity, set()).add(sample.camera_id)
    found = {query.identity for query in data.query if cameras_of.get(query.identity, set()) - {query.camera_id}}
    return sorted(found - set(data.train_identities))


def _some(samples: Iterable[Sample], chosen: set[int], *, random: Random) -> tuple[Sample, ...]:
    candidates = sorted((sample for sample in samples if sample.identity in chosen), key=lambda one: one.path.name)
    random.shuffle(candidates)
    taken: Counter[tuple[int, int]] = Counter()
    kept = []
    for sample in candidates:
        place = (sample.identity, sample.camera_id)
        taken[place] += 1
        if taken[place] <= _PER_CAMERA:
            kept.append(sample)
    return tuple(sorted(kept, key=lambda one: (one.identity, one.camera_id, one.path.name)))


def write_packed_images(chosen: ChosenImages, path: Path, *, data: ReidData, input_: Input) -> str:
    """Write the chosen images at the network's input size, atomically. Returns the digest of the images.

    Raises:
        DataError: an image cannot be decoded, or the file cannot be written.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, samples in zip(_SPLITS, (chosen.query, chosen.gallery), strict=True):
        crops = crops_of_samples(samples, input_)
        arrays |= {
            f"{split}_crops": crops.read(slice(None)),
            f"{split}_identities": crops.identities,
            f"{split}_cameras": crops.cameras,
        }
    facts = _Facts(
        data_set=data.name,
        terms=data.terms,
        input=input_,
        sha256=_digest(arrays, input_),
        has_cameras=data.has_cameras,
    )
    packed = io.BytesIO()
    np.savez_compressed(packed, facts=np.frombuffer(facts.model_dump_json().encode(), np.uint8), **arrays)  # type: ignore[arg-type]
    try:
        replace_file(path, packed.getvalue())
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}; give another --output") from error
    return facts.sha256


def read_packed_images(path: Path, input_: Input) -> AcceptanceImages:
    """Read a packed file and check that it is complete and fits the network's input.

    Raises:
        DataError: the file is missing, damaged, changed, or packed for another input.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        facts = _Facts.model_validate_json(arrays.pop("facts").tobytes())
        crops = {split: _crops(arrays, split) for split in _SPLITS}
    except OSError as error:
        raise DataError(
            f"cannot read {path}: {error.strerror or error}; make it with export/acceptance/pack_images.py"
        ) from error
    except (ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile, ValidationError) as error:
        raise DataError(f"{path} is not a whole file of export/acceptance/pack_images.py; pack it again") from error
    if _digest(arrays, facts.input) != facts.sha256:
        raise DataError(f"{path} was changed after it was packed: its digest is not {facts.sha256}; pack it again")
    if _as_text(facts.input) != _as_text(input_):  # mean and std are in the network
        raise DataError(
            f"{path} was packed for {_as_text(facts.input)}, but the network takes {_as_text(input_)}; pack it again"
        )
    return AcceptanceImages(
        facts.data_set, crops["query"], crops["gallery"], sha256=facts.sha256, has_cameras=facts.has_cameras
    )


def _crops(arrays: dict[str, NDArray[np.generic]], split: str) -> Crops:
    pixels = np.asarray(arrays[f"{split}_crops"], np.uint8)
    identities, cameras = (np.asarray(arrays[f"{split}_{name}"], np.int64) for name in ("identities", "cameras"))
    return Crops(identities, cameras, read=pixels.__getitem__)


def _digest(arrays: dict[str, NDArray[np.generic]], input_: Input) -> str:
    digest = hashlib.sha256(input_.model_dump_json().encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, str(array.dtype), array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _as_text(input_: Input) -> str:
    return f"{input_.height_px} x {input_.width_px} crops by {input_.resize}"

"""A bridge carries descriptors of an old space into a new one, so that a new model does not empty the gallery.

It is one linear map with a manifest: from where to where, learnt from how many pairs, what is found before and after,
until when it holds. It holds no descriptor of anybody. Every row keeps its own space; it is moved when it is compared.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import GalleryError
from edge_runtime.contract.manifest import Score
from edge_runtime.contract.script import replace_file
from edge_runtime.contract.strict_model import StrictModel
from edge_runtime.link.wire_types import Space

_ARRAYS = ("from_mean", "weights", "to_mean")


class CosineLine(StrictModel):
    """slope * cosine + offset: the cosine of two new descriptors that says as much."""

    slope: Annotated[float, Field(gt=0)]
    offset: float


class BridgeEvidence(StrictModel):
    """What is found without labels: other moments of the same track among all, by mean average precision.

    Each moment is moved by a map that was fit without its track. before: in the old space alone. native: in the new one
    alone. after: moved old descriptors by new ones. kept: after / native, at most 1. across, moved: calibrate the
    cosine of a new and a moved descriptor, and of two moved ones.
    """

    before: Score
    native: Score
    after: Score
    kept: Score
    across: CosineLine
    moved: CosineLine


class BridgeManifest(StrictModel):
    """What is known of a bridge. Times are UTC nanoseconds.

    digest: SHA-256 of its arrays. penalty: of the ridge, in parts of the mean variance. least_kept: the limit by which
    it was accepted. It is not used from expires_ns on.
    """

    schema_version: Literal[1] = 1
    from_space: Space
    to_space: Space
    pairs: Annotated[int, Field(ge=1)]
    tracks: Annotated[int, Field(ge=1)]
    penalty: Annotated[float, Field(gt=0)]
    found: BridgeEvidence
    least_kept: Annotated[float, Field(ge=0, le=1)]
    created_ns: Annotated[int, Field(ge=0)]
    expires_ns: Annotated[int, Field(ge=0)]
    digest: str

    @property
    def ends(self) -> tuple[str, str]:
        """From where to where."""
        return self.from_space, self.to_space


@dataclass(frozen=True)
class LinearMap:
    """from_mean: (D,), weights: (D, E), to_mean: (E,), all float32."""

    from_mean: NDArray[np.float32]
    weights: NDArray[np.float32]
    to_mean: NDArray[np.float32]

    def move(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Carry unit vectors (N, D) of the old space into the new one: (N, E), unit rows."""
        return normalise((vectors - self.from_mean) @ self.weights + self.to_mean)

    def pull_back(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """A vector (D,) of the old space whose cosine puts old vectors in nearly the order of the moved ones.

        query: (E,) of the new space. With (x - m) W + t it is W q: exact but for the lengths of the moved vectors.
        """
        return np.asarray(self.weights @ query, np.float32)

    def digest(self) -> str:
        """SHA-256 of the arrays."""
        return sha256(b"".join(np.ascontiguousarray(getattr(self, name)).tobytes() for name in _ARRAYS)).hexdigest()


@dataclass(frozen=True)
class Bridge:
    """A map between two spaces that was accepted, with its manifest."""

    manifest: BridgeManifest
    map: LinearMap


class Bridges:
    """The bridges of a gallery, at most one out of each space; an expired one is not used.

    Raises:
        GalleryError: two bridges lead out of one space, or they lead in a circle.
    """

    def __init__(self, bridges: Sequence[Bridge] = ()) -> None:
        self._out = {one.manifest.from_space: one for one in bridges}
        if len(self._out) < len(bridges):
            raise GalleryError(
                "expected one bridge out of each space, found two; remove one (manage_gallery.py drop-bridge)"
            )
        for start in self._out:
            if len(self._steps(start, None)) > len(bridges):
                raise GalleryError(
                    f"the bridges out of space {start} lead in a circle; remove one (manage_gallery.py drop-bridge)"
                )

    def path(self, space: str, now_ns: int) -> list[Bridge]:
        """The bridges that lead from a space to the newest one that can be reached; empty where there is none."""
        return self._steps(space, now_ns)

    def into(self, space: str, now_ns: int) -> dict[str, list[Bridge]]:
        """The spaces from which a space can be reached, with their paths."""
        paths = {start: self._steps(start, now_ns) for start in self._out}
        return {start: path for start, path in paths.items() if path and path[-1].manifest.to_space == space}

    def length_of(self, space: str) -> int | None:
        """How many numbers a vector of a space has that a bridge leads to or from; None: there is none."""
        for one in self._out.values():
            if one.manifest.to_space == space:
                return len(one.map.to_mean)
            if one.manifest.from_space == space:
                return len(one.map.from_mean)
        return None

    def _steps(self, space: str, now_ns: int | None) -> list[Bridge]:
        path = list[Bridge]()
        while (bridge := self._out.get(space)) and len(path) <= len(self._out):
            if now_ns is not None and now_ns >= bridge.manifest.expires_ns:
                break
            path.append(bridge)
            space = bridge.manifest.to_space
        return path


NO_BRIDGES = Bridges()


def move_along(path: Sequence[Bridge], vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Carry unit vectors (N, D) over one bridge after the other."""
    for bridge in path:
        vectors = bridge.map.move(vectors)
    return vectors


def bridge_path(folder: Path, from_space: str, *, to_space: str) -> Path:
    """Where a gallery keeps a bridge."""
    return folder / f"bridge-{from_space}-{to_space}.npz"


def write_bridge(folder: Path, bridge: Bridge) -> Path:
    """Write a bridge into a gallery's folder. Returns its path.

    Raises:
        OSError: it cannot be written.
    """
    path = bridge_path(folder, bridge.manifest.from_space, to_space=bridge.manifest.to_space)
    file = io.BytesIO()
    arrays = {name: getattr(bridge.map, name) for name in _ARRAYS}
    np.savez(file, manifest=np.array(bridge.manifest.model_dump_json()), **arrays)
    replace_file(path, file.getvalue())
    return path


def read_bridges(folder: Path) -> list[Bridge]:
    """All bridges of a gallery's folder, also expired ones.

    Raises:
        GalleryError: one is damaged, or changed by hand.
    """
    return [_read(path) for path in sorted(folder.glob("bridge-*.npz"))]


def _read(path: Path) -> Bridge:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            manifest = BridgeManifest.model_validate_json(str(arrays["manifest"]))
            linear = LinearMap(*(np.asarray(arrays[name], np.float32) for name in _ARRAYS))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, ValidationError) as error:
        raise GalleryError(f"{path} is no bridge: {error}; fit it again, or delete it") from error
    if linear.digest() != manifest.digest:
        raise GalleryError(f"{path}: its numbers are not those of its manifest; fit it again, or delete it")
    return Bridge(manifest, linear)

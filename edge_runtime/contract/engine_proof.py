"""A few crops with the descriptors they must give, by which a machine without test images judges an engine."""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.bundle import CosineLimits
from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import BundleError
from edge_runtime.contract.script import replace_file


@dataclass(frozen=True)
class EngineProof:
    """What goes in and what must come out.

    crops: (N, height, width, 3) uint8, RGB. descriptors: (N, length) float32, of unit length.
    """

    crops: NDArray[np.uint8]
    descriptors: NDArray[np.float32]

    def judge(self, describe: Describe, *, limits: CosineLimits) -> str:
        """Describe the crops and say how near the descriptors are.

        Raises:
            BundleError: they are not near enough, or of another length.
            EngineError: the engine fails on the crops.
        """
        found = describe(self.crops)
        if found.shape != self.descriptors.shape:
            raise BundleError(
                f"the engine gives descriptors {found.shape} where the proof has {self.descriptors.shape}"
            )
        cosines = (found.astype(np.float64) * self.descriptors).sum(axis=1)
        said = f"cosine mean {cosines.mean():.5f}, least {cosines.min():.5f} on {len(cosines)} crops"
        if not (cosines.mean() >= limits.mean and cosines.min() >= limits.least):
            raise BundleError(
                f"this machine computes other descriptors than the one that made the bundle: {said}, where mean "
                f"{limits.mean:g} and least {limits.least:g} are needed; the engine before stays"
            )
        return said


def write_proof(proof: EngineProof, path: Path) -> None:
    """Write it, atomically; for errors see `replace_file`."""
    packed = io.BytesIO()
    np.savez_compressed(packed, crops=proof.crops, descriptors=proof.descriptors)
    replace_file(path, packed.getvalue())


def read_proof(path: Path) -> EngineProof:
    """Read it.

    Raises:
        BundleError: it is none.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            crops, descriptors = stored["crops"], stored["descriptors"]
    except (ValueError, KeyError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path.name} holds no crops and descriptors; make the bundle again") from error
    if not len(crops):
        raise BundleError(f"{path.name} holds no crops; make the bundle again")
    return EngineProof(np.asarray(crops, np.uint8), np.asarray(descriptors, np.float32))

"""A data set after it was read: images of people, of classes, or of people's attributes."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_runtime.contract.manifest import ResizeRule

JUNK = -1
DISTRACTOR = 0


@dataclass(frozen=True)
class Sample:
    """One image of a person. identity -1 is junk and 0 a distractor; camera_id counts from 0.

    person: the name of the person's folder, where people have folders. camera: as the data set's files or folders call
    it.
    """

    path: Path
    identity: int
    camera_id: int
    person: str | None = None
    camera: str | None = None

    @property
    def label(self) -> str:
        """The person's name, or "identity 7"; for captions."""
        return self.person or f"identity {self.identity}"


@dataclass(frozen=True)
class ReidData:
    """The three splits of a re-identification data set.

    multi_query: more images of the queries' identities at the queries' cameras, where a data set has them.
    has_cameras: whether the camera of each image is known; if not, each image has a camera_id of its own.
    """

    name: str
    terms: str
    train: tuple[Sample, ...]
    query: tuple[Sample, ...]
    gallery: tuple[Sample, ...]
    multi_query: tuple[Sample, ...] = ()
    has_cameras: bool = True

    @property
    def train_identities(self) -> tuple[int, ...]:
        """The training identities, ascending; position is the class number."""
        return tuple(sorted({sample.identity for sample in self.train}))

    @property
    def people_sha256(self) -> str:
        """Digest of who trains, by their names or numbers."""
        people = sorted({sample.label for sample in self.train})
        return sha256("\0".join(people).encode()).hexdigest()

    @property
    def ranked_gallery(self) -> tuple[Sample, ...]:
        """The gallery without junk: all that can take a place in a ranking."""
        return tuple(sample for sample in self.gallery if sample.identity != JUNK)

    @property
    def counts(self) -> dict[str, int]:
        """What the catalog compares with the published counts."""
        return {
            "training images": len(self.train),
            "training identities": len(self.train_identities),
            "query images": len(self.query),
            "query identities": len({sample.identity for sample in self.query}),
            "gallery images": len(self.gallery),
        }


class Images(Protocol):
    """Images that are decoded on demand."""

    def __len__(self) -> int: ...

    def read(
        self, positions: Sequence[int] | NDArray[np.int64], *, height_px: int, width_px: int, rule: ResizeRule
    ) -> NDArray[np.uint8]:
        """Decode and resize the images at these positions. Returns (N, height_px, width_px, 3) uint8, RGB.

        Raises:
            DataError: an image cannot be decoded; the first ten are named.
        """


@dataclass(frozen=True)
class LabelledImages:
    """Images with their labels.

    labels: (N,) int64 class numbers, or (N, A) int64 with 1 where the image has the attribute and 0 where not.
    """

    images: Images
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class ClassificationData:
    """Images that belong to one class each. classes: their names; position is the class number."""

    name: str
    terms: str
    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages

    @property
    def counts(self) -> dict[str, int]:
        """What the catalog compares with the published counts."""
        return {"training images": len(self.train), "test images": len(self.test), "classes": len(self.classes)}


@dataclass(frozen=True)
class AttributeData:
    """Images of people with yes-or-no attributes. attributes: their names, in the order of the labels' columns."""

    name: str
    terms: str
    attributes: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages

    @property
    def counts(self) -> dict[str, int]:
        """What the catalog compares with the published counts."""
        return {
            "training images": len(self.train),
            "validation images": len(self.validation),
            "test images": len(self.test),
            "attributes": len(self.attributes),
        }

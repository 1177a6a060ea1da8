"""The three tasks: training images, the loss of the classifiers, and how networks are scored."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge_runtime.contract.descriptor import Describe
from edge_runtime.contract.errors import DataError
from edge_runtime.contract.manifest import Descriptor, Evidence, Input, Part, TrainedOn
from train.datasets.images import ImageFiles, load_images
from train.datasets.samples import AttributeData, ClassificationData, LabelledImages, ReidData
from train.machine.mixed_precision import without_tf32
from train.machine.processes import Processes
from train.models.pixels import PixelScale, describe_raw_with
from train.recipes.recipe import Recipe
from train.scoring.attributes import AttributeScores, score_attributes
from train.scoring.scorable import check_queries, warn_of_shared_people
from train.scoring.scoring import Member, evidence, retrieve_on
from train.training.objective import Classify, attribute_entropy, cross_entropy

_CHUNK = 256
_LEAST_PEOPLE = 2
_RANKS = (1, 5, 10)

Networks = Sequence[nn.Module]


@dataclass(frozen=True)
class TaskScores:
    """Figures by name, as shares of 1; evidence: those of re-identification with intervals, as manifests hold them."""

    figures: dict[str, float] = field(default_factory=dict)
    evidence: Evidence | None = None


class Task(Protocol):
    """One data set and what is learned from it."""

    @property
    def name(self) -> str:
        """Name of the data set."""

    @property
    def terms(self) -> str:
        """Terms of use of the data set."""

    @property
    def classes(self) -> int:
        """Number of outputs of a classifier."""

    @property
    def train(self) -> LabelledImages:
        """The training images."""

    @property
    def trained_on(self) -> TrainedOn | None:
        """The training people, if the test images show other people of the same data set; else None."""

    def classify(self) -> Classify:
        """The loss of one classifier."""

    def check_test_images(self) -> None:
        """Decode them once before training: a broken image found after it would cost the run its scores.

        Raises:
            DataError: an image cannot be decoded, the images that the recipe scores are missing, or nobody can be
                found again.
        """

    def score(self, networks: Networks, input_: Input, *, processes: Processes) -> TaskScores:
        """Score networks, several as one, on the test images; the networks are then in eval mode."""

    def validate(self, networks: Networks, input_: Input, *, processes: Processes) -> dict[str, float]:
        """Figures on the validation images, of which the first chooses the best epoch; empty without such images."""


class Reid:
    """Re-identification: trained on one data set, scored on its test images or on those of `test`, another domain.

    Raises:
        DataError: fewer than two people to train on.
    """

    def __init__(self, data: ReidData, recipe: Recipe, *, test: ReidData) -> None:
        self.name, self.terms = data.name, data.terms
        self.classes = len(data.train_identities)
        self.train = _by_identity(data)
        self.trained_on: TrainedOn | None = TrainedOn(data_set=data.name, people_sha256=data.people_sha256)
        if self.classes < _LEAST_PEOPLE:
            raise DataError(
                f"expected {_LEAST_PEOPLE} or more people to train on, found {self.classes} in {data.name}; with one "
                "there is nothing to tell apart"
            )
        self._recipe = recipe
        self._test = test
        self._is_own_test = test is data

    def classify(self) -> Classify:
        """See `Task`."""
        return cross_entropy(self._recipe.losses)

    def check_test_images(self) -> None:
        """See `Task`."""
        test = self._test
        check_queries(test)
        if self._is_own_test:
            warn_of_shared_people(test)
        if self._recipe.evaluation.queries != "single" and not test.multi_query:
            raise DataError(
                f"recipe {self._recipe.name} scores multiple queries, and {test.name} has no images for them"
            )
        load_images(test.query + test.ranked_gallery + test.multi_query, height_px=8, width_px=4)

    def score(self, networks: Networks, input_: Input, *, processes: Processes) -> TaskScores:
        """See `Task`."""
        evaluation = self._recipe.evaluation
        members = [_member(network, input_, processes=processes) for network in networks]
        result = retrieve_on(members, self._test, evaluation=evaluation)
        figures = {f"rank{k}": result.rank(k) for k in _RANKS}
        figures |= {"mean_ap": result.mean_ap, "mean_inp": result.mean_inp}
        return TaskScores(figures, evidence(result, self._test, evaluation=evaluation, networks=len(networks)))

    def validate(self, networks: Networks, input_: Input, *, processes: Processes) -> dict[str, float]:
        """See `Task`."""
        return {}


class Classification:
    """Images of one class each; the score is the share of test images whose likeliest class is wrong (top-1 error)."""

    trained_on = None

    def __init__(self, data: ClassificationData, recipe: Recipe) -> None:
        self.name, self.terms = data.name, data.terms
        self.classes = len(data.classes)
        self.train = data.train
        self._recipe = recipe
        self._test = data.test

    def classify(self) -> Classify:
        """See `Task`."""
        return cross_entropy(self._recipe.losses)

    def check_test_images(self) -> None:
        """See `Task`."""
        _decode(self._test)

    def score(self, networks: Networks, input_: Input, *, processes: Processes) -> TaskScores:
        """See `Task`."""
        chances = _predict(networks, self._test, input_=input_, processes=processes, activate=_softmax)
        return TaskScores({"top1_error": float((chances.argmax(axis=1) != self._test.labels).mean())})

    def validate(self, networks: Networks, input_: Input, *, processes: Processes) -> dict[str, float]:
        """See `Task`."""
        return {}


class Attributes:
    """People with yes-or-no attributes; an attribute is predicted if its probability is above one half."""

    trained_on = None

    def __init__(self, data: AttributeData) -> None:
        self.name, self.terms = data.name, data.terms
        self.classes = len(data.attributes)
        self.train = data.train
        self._data = data

    def classify(self) -> Classify:
        """See `Task`."""
        return attribute_entropy(torch.from_numpy(self.train.labels.mean(axis=0)))

    def check_test_images(self) -> None:
        """See `Task`."""
        for images in (self._data.validation, self._data.test):
            _decode(images)

    def score(self, networks: Networks, input_: Input, *, processes: Processes) -> TaskScores:
        """See `Task`."""
        return TaskScores(asdict(self._scores(networks, self._data.test, input_=input_, processes=processes)))

    def validate(self, networks: Networks, input_: Input, *, processes: Processes) -> dict[str, float]:
        """See `Task`."""
        return asdict(self._scores(networks, self._data.validation, input_=input_, processes=processes))

    def _scores(
        self, networks: Networks, images: LabelledImages, *, input_: Input, processes: Processes
    ) -> AttributeScores:
        chances = _predict(networks, images, input_=input_, processes=processes, activate=torch.sigmoid)
        return score_attributes(chances > 0.5, images.labels > 0)


def _member(network: nn.Module, input_: Input, *, processes: Processes) -> Member:
    describe = processes.divide_among_all(describe_raw_with(network, input_, device=processes.device))
    parts = tuple(Part(name=name, length=length) for name, length in cast(Any, network).descriptor_parts)
    return Member(describe, input_, Descriptor(length=sum(part.length for part in parts), parts=parts))


def _predict(
    networks: Networks,
    images: LabelledImages,
    *,
    input_: Input,
    processes: Processes,
    activate: Callable[[Tensor], Tensor],
) -> NDArray[np.float32]:
    """The mean of what the networks predict for each image, (N, classes)."""
    for network in networks:
        network.eval()
    predict = processes.divide_among_all(_predictor(networks, input_, device=processes.device, activate=activate))
    size = {"height_px": input_.height_px, "width_px": input_.width_px}
    chunks = (np.arange(start, min(start + _CHUNK, len(images))) for start in range(0, len(images), _CHUNK))
    return np.concatenate([predict(images.images.read(chunk, **size, rule=input_.resize)) for chunk in chunks])


def _predictor(
    networks: Networks, input_: Input, *, device: torch.device, activate: Callable[[Tensor], Tensor]
) -> Describe:
    scale = PixelScale(input_, device)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode(), without_tf32():
            pixels = scale(torch.from_numpy(images).to(device).permute(0, 3, 1, 2))  # (N, 3, H, W)
            chances = [activate(cast(Any, network).classifier(network(pixels))) for network in networks]
            return cast(NDArray[np.float32], torch.stack(chances).mean(dim=0).cpu().numpy())  # (N, classes)

    return predict


def _softmax(logits: Tensor) -> Tensor:
    return logits.softmax(dim=1)


def _decode(images: LabelledImages) -> None:
    for start in range(0, len(images), _CHUNK):
        positions = np.arange(start, min(start + _CHUNK, len(images)))
        images.images.read(positions, height_px=8, width_px=8, rule="bilinear-half-pixel")


def _by_identity(data: ReidData) -> LabelledImages:
    classes = {identity: number for number, identity in enumerate(data.train_identities)}
    labels = np.array([classes[sample.identity] for sample in data.train], np.int64)
    return LabelledImages(ImageFiles(tuple(sample.path for sample in data.train)), labels)

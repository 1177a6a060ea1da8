"""A recipe: everything that a training run needs to know except the folder of the data."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from edge_runtime.contract.errors import ConfigError

Task = Literal["reid", "classification", "attributes", "distillation"]


@dataclass(frozen=True)
class Batches:
    """How batches are drawn: `size` shuffled images, or whole identities when `images_per_identity` is given.

    epoch: whether one epoch uses every image once, or every identity once (with `images_per_identity` images). The MGN
    paper does not say; its public re-implementations take identities.
    """

    size: int
    images_per_identity: int | None = None
    epoch: Literal["images", "identities"] = "images"


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; each number but pad_px is the probability that an image is changed.

    flip: mirror. crop: enlarge by an eighth and crop to size at a random place. erase: fill a random rectangle with one
    colour. patch: paste a rectangle of another image of the batch. colour: jitter brightness and contrast.
    resolution: shrink to 3/4, 1/2, 3/8 or 1/4 of the size and enlarge again, as people far from the camera look.
    pad_px: pad every image by so many black pixels and crop to size at a random place; 0 for none. scaled_crop: cut out
    a random part of 8 to 100 % of the area and enlarge it, as on ImageNet. erased_to: `mean` is 0 after normalisation;
    `public_code` writes the channel means after normalisation.
    """

    flip: float = 0.5
    crop: float = 0.0
    erase: float = 0.0
    patch: float = 0.0
    colour: float = 0.0
    resolution: float = 0.0
    scaled_crop: float = 0.0
    pad_px: int = 0
    erased_to: Literal["mean", "public_code"] = "mean"


@dataclass(frozen=True)
class Losses:
    """Weights and constants of the objective: cross entropy of every classifier, plus the weighted others.

    over_branches: a loss that several branches have is their mean or their sum.
    triplet_margin None means the soft margin. triplet_on: measure triplets on each embedding or on all of them side by
    side. triplet_on_unit_length: L2-normalise them first, as retrieval by cosine does. Before triplet_from_epoch
    (counted from 0) there are no triplets: from random weights the hardest triplets make all embeddings collapse to one
    point. centres: `frozen` are random points that never move, as in one public code; learned ones move at
    centre_learning_rate, whatever centre_weight is. entropy_weight: how much a confident prediction is penalised.
    mutual_weight: how much each of `Recipe.networks` learns from the others.
    """

    label_smoothing: float = 0.1
    over_branches: Literal["mean", "sum"] = "mean"
    triplet_weight: float = 0.0
    triplet_margin: float | None = 0.3
    triplet_on: Literal["each", "concatenation"] = "each"
    triplet_on_unit_length: bool = False
    triplet_from_epoch: int = 0
    centre_weight: float = 0.0
    centres: Literal["learned", "frozen"] = "learned"
    centre_learning_rate: float = 0.5
    entropy_weight: float = 0.0
    mutual_weight: float = 0.0


@dataclass(frozen=True)
class Optimiser:
    """The update rule; `learning_rate` is the highest of the run.

    new_layers_learning_rate: for all layers that pretrained weights do not fill; None means the same.
    """

    name: Literal["sgd", "adam", "amsgrad", "adamw"]
    learning_rate: float
    weight_decay: float = 5e-4
    momentum: float = 0.9
    nesterov: bool = False
    new_layers_learning_rate: float | None = None


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves over `epochs`.

    steps: it is multiplied by `factor` at each of these epochs. cosine: it falls to zero along a half cosine instead.
    warm_up_epochs: it first rises linearly, from `warm_up_from` times its value; None: from one step above zero.
    classifier_only_epochs: epochs at the start in which only the classifier trains.
    """

    epochs: int
    shape: Literal["steps", "cosine"]
    steps: tuple[int, ...] = ()
    factor: float = 0.1
    warm_up_epochs: int = 0
    warm_up_from: float | None = None
    classifier_only_epochs: int = 0


@dataclass(frozen=True)
class Dynamic:
    """Pyramid's multi-loss dynamic training: which of its two losses and samplers the next step takes.

    alpha: weight of the newest loss in its moving average. gamma: focusing exponent. delta: identity loss alone trains
    while FL_triplet < delta * FL_identity. rule: see `train.training.dynamic_training`.
    Source: Zheng et al., CVPR 2019, section 3.4, eq. (5) to (8), algorithm 1.
    """

    alpha: float = 0.25
    gamma: float = 2.0
    delta: float = 0.16
    rule: Literal["paper", "public_code", "alternate"] = "paper"


@dataclass(frozen=True)
class Distillation:
    """Training on descriptors of other networks, the teachers, instead of labels.

    similarity_weight: weight of the difference between the similarity matrices of student and teachers, beside the
    cosine of each mapped descriptor to its teacher's. labels_weight: weight of the cross entropy of images whose
    identity is known; 0 ignores labels. teachers, crops: SHA-256 of each teacher and of all images; the command fills
    them in, so that a resumed run uses the same.
    """

    similarity_weight: float = 4.0
    labels_weight: float = 0.0
    teachers: tuple[str, ...] = ()
    crops: str = ""


@dataclass(frozen=True)
class Evaluation:
    """How the trained network is scored.

    flip: the descriptor is that of the image plus that of its mirror. queries: one image, or the average or maximum
    over all images of the query's identity and camera. rerank: by k-reciprocal neighbours. networks: of several
    networks trained together, which one is scored, or all with their descriptors side by side. parts: the names of the
    descriptor's parts that are compared; none given means the whole descriptor.
    """

    distance: Literal["cosine", "euclidean"] = "cosine"
    flip: bool = False
    queries: Literal["single", "average", "maximum"] = "single"
    rerank: bool = False
    precision_rule: Literal["rectangular", "trapezoid"] = "rectangular"
    networks: Literal["first", "second", "ensemble"] = "first"
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Expected:
    """What the source reports for this recipe, as shares of 1; None where it reports nothing."""

    source: str
    rank1: float | None = None
    rank5: float | None = None
    rank10: float | None = None
    mean_ap: float | None = None
    top1_error: float | None = None
    mean_accuracy: float | None = None
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


@dataclass(frozen=True)
class Recipe:
    """One training run. `python train/run.py --list` shows them all.

    test_set: where it differs from data_set (another domain). splits: number of random splits to train and
    score on; their mean is reported. networks: how many train together and learn from each other. normalisation: mean
    and standard deviation of the pixels. needs_weights: it starts from trained weights (`--weights FILE`).
    """

    name: str
    architecture: str
    data_set: str
    height_px: int
    width_px: int
    batches: Batches
    augmentation: Augmentation
    losses: Losses
    optimiser: Optimiser
    schedule: Schedule
    expected: Expected
    task: Task = "reid"
    test_set: str | None = None
    splits: int = 1
    networks: int = 1
    dynamic: Dynamic | None = None
    distillation: Distillation | None = None
    evaluation: Evaluation = Evaluation()
    resize: Literal["bilinear", "bicubic"] = "bilinear"
    normalisation: Literal["imagenet", "data_set"] = "imagenet"
    needs_weights: bool = False

    def __post_init__(self) -> None:
        faults = [*self._faults_of_losses(), *self._faults_of_schedule(), *self._faults_of_probabilities()]
        if faults:
            raise ConfigError(f"recipe {self.name}: " + "; ".join(faults))

    def _faults_of_losses(self) -> Iterator[str]:
        batches, losses = self.batches, self.losses
        if losses.triplet_weight and not (batches.images_per_identity or self.dynamic):
            yield "a triplet loss needs images_per_identity, because other batches hold too few pairs of one identity"
        if batches.images_per_identity and batches.size % batches.images_per_identity:
            yield f"batch size {batches.size} is no multiple of {batches.images_per_identity} per identity"
        if batches.epoch == "identities" and not batches.images_per_identity:
            yield "an epoch over identities needs images_per_identity"
        if self.dynamic and not (losses.triplet_weight and batches.images_per_identity):
            yield "dynamic training needs triplet_weight and images_per_identity, it switches losses and samplers"
        if self.dynamic and losses.triplet_from_epoch:
            yield "dynamic training itself decides when triplets count, so triplet_from_epoch must be 0"
        if self.task == "attributes" and losses != Losses(label_smoothing=0.0):
            yield "attributes have their own loss, so losses must be Losses(label_smoothing=0.0)"
        if (self.distillation is not None) != (self.task == "distillation"):
            yield "the task distillation and its settings `distillation` need each other"
        if self.distillation and (losses != Losses(label_smoothing=losses.label_smoothing) or self.dynamic):
            yield "distillation has losses of its own, so losses may only set label_smoothing, and dynamic must be None"
        if (losses.mutual_weight > 0) != (self.networks > 1):
            yield "mutual learning needs both mutual_weight and more than one network"
        if self.evaluation.networks != "first" and self.networks == 1:
            yield f"evaluation of {self.evaluation.networks} needs more than one network"

    def _faults_of_schedule(self) -> Iterator[str]:
        schedule = self.schedule
        if schedule.shape == "cosine" and schedule.steps:
            yield "a cosine schedule takes no steps"
        if list(schedule.steps) != sorted(set(schedule.steps)) or any(s >= schedule.epochs for s in schedule.steps):
            yield f"steps {schedule.steps} must rise and lie below {schedule.epochs} epochs"
        if schedule.classifier_only_epochs and not self.needs_weights:
            yield "training the classifier alone makes sense only from trained weights"

    def _faults_of_probabilities(self) -> Iterator[str]:
        for name in ("flip", "crop", "erase", "patch", "colour", "resolution", "scaled_crop"):
            if not 0 <= getattr(self.augmentation, name) <= 1:
                yield f"{name} is a probability, found {getattr(self.augmentation, name)}"

    def variant(self, name: str, **changes: Any) -> "Recipe":
        """This recipe under another name with some fields replaced."""
        return replace(self, name=name, **changes)

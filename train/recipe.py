"""A recipe: everything a training run needs to know but the folder of the data. No torch here."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from edge_runtime.contract.errors import ConfigError


@dataclass(frozen=True)
class Batches:
    """How batches are drawn: `size` shuffled images, or whole identities when `images_per_identity` is given."""

    size: int
    images_per_identity: int | None = None


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; each number is the probability that an image is changed.

    flip: mirror. crop: enlarge by an eighth and cut back to size at a random place. erase: grey out a random rectangle.
    patch: paste a rectangle of another image of the batch. colour: jitter brightness and contrast.
    """

    flip: float = 0.5
    crop: float = 0.0
    erase: float = 0.0
    patch: float = 0.0
    colour: float = 0.0


@dataclass(frozen=True)
class Losses:
    """Weights and constants of the objective.

    triplet_margin None means the soft margin. triplet_on_unit_length measures triplets between L2-normalised
    embeddings, as retrieval by cosine does. Before triplet_from_epoch (counted from 0) only cross entropy is used: from
    random weights the hardest triplets pull all embeddings to one point.
    """

    label_smoothing: float = 0.1
    triplet_weight: float = 0.0
    triplet_margin: float | None = 0.3
    triplet_on_unit_length: bool = False
    triplet_from_epoch: int = 0


@dataclass(frozen=True)
class Optimiser:
    """The update rule; `learning_rate` is the highest of the run."""

    name: Literal["sgd", "amsgrad"]
    learning_rate: float
    weight_decay: float = 5e-4
    momentum: float = 0.9


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves over `epochs`.

    steps: it is multiplied by 0.1 at each of these epochs. cosine: it falls to zero along a half cosine instead.
    warm_up_epochs: it climbs linearly first. classifier_only_epochs: at first only the classifier trains.
    """

    epochs: int
    shape: Literal["steps", "cosine"]
    steps: tuple[int, ...] = ()
    warm_up_epochs: int = 0
    classifier_only_epochs: int = 0


@dataclass(frozen=True)
class Expected:
    """What the source reports for this recipe, as shares of 1; None where it reports nothing."""

    source: str
    rank1: float | None = None
    mean_ap: float | None = None


@dataclass(frozen=True)
class Recipe:
    """One training run. `python train/run.py --list` shows them all."""

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
    needs_weights: bool = False
    """True where the recipe starts from trained weights (`--weights FILE`)."""

    def __post_init__(self) -> None:
        faults = list(self._faults())
        if faults:
            raise ConfigError(f"recipe {self.name}: " + "; ".join(faults))

    def _faults(self) -> list[str]:
        batches, schedule = self.batches, self.schedule
        faults = []
        if self.losses.triplet_weight and not batches.images_per_identity:
            faults.append("a triplet loss needs images_per_identity, batches hold no pairs without it")
        if batches.images_per_identity and batches.size % batches.images_per_identity:
            faults.append(f"batch size {batches.size} is no multiple of {batches.images_per_identity} per identity")
        if schedule.shape == "cosine" and schedule.steps:
            faults.append("a cosine schedule takes no steps")
        if list(schedule.steps) != sorted(set(schedule.steps)) or any(s >= schedule.epochs for s in schedule.steps):
            faults.append(f"steps {schedule.steps} must rise and lie below {schedule.epochs} epochs")
        if schedule.classifier_only_epochs and not self.needs_weights:
            faults.append("training the classifier alone makes sense only from trained weights")
        for name in ("flip", "crop", "erase", "patch", "colour"):
            if not 0 <= getattr(self.augmentation, name) <= 1:
                faults.append(f"{name} is a probability, found {getattr(self.augmentation, name)}")
        return faults

    def variant(self, name: str, **changes: Any) -> "Recipe":
        """This recipe under another name with some fields replaced."""
        return replace(self, name=name, **changes)

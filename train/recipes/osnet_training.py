"""How the OSNet paper trains: the settings that its recipes share.

Source: Zhou et al., ICCV 2019, section 4.1 and supplement A and B.
Differs: the paper gives no momentum for SGD; 0.9 is ours. Its main part does not name the distance, its supplement
takes the cosine, and so do all recipes; the public code takes the squared Euclidean distance of raw features.
"""

from typing import Literal

from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule

IDENTITIES = Batches(size=64, images_per_identity=4)
COSINE = Schedule(epochs=250, shape="cosine", classifier_only_epochs=10)
"""The schedule of supplement B, with the number of epochs of the public code."""


def fine_tuned(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """From ImageNet weights; the first ten epochs train only the classifier. Section 4.1."""
    return Recipe(
        name=name,
        architecture="osnet_x1_0",
        data_set=data_set,
        height_px=256,
        width_px=128,
        batches=Batches(size=64),
        augmentation=Augmentation(flip=0.5, erase=0.5),
        losses=Losses(),
        optimiser=Optimiser("amsgrad", 0.0015),
        schedule=Schedule(epochs=150, shape="steps", steps=(60, 120), classifier_only_epochs=10),
        expected=expected,
        needs_weights=True,
    )


def from_scratch(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """From random weights. Section 4.1."""
    return Recipe(
        name=name,
        architecture="osnet_x1_0",
        data_set=data_set,
        height_px=256,
        width_px=128,
        batches=Batches(size=64),
        augmentation=Augmentation(flip=0.5, crop=0.5, patch=0.5),
        losses=Losses(),
        optimiser=Optimiser("sgd", 0.065),
        schedule=Schedule(epochs=350, shape="steps", steps=(150, 225, 300)),
        expected=expected,
    )


Figures = tuple[float, float]
"""Rank-1 and mAP."""


def lightweight(scratch: Recipe, *, shufflenet: Figures, mobilenet: Figures) -> tuple[Recipe, ...]:
    """ShuffleNet and MobileNetV2, which the paper trained from scratch as it did OSNet. Table 3."""
    rows = (("shufflenet", "ShuffleNet", shufflenet), ("mobilenetv2", "MobileNetV2", mobilenet))
    return tuple(
        scratch.variant(
            f"{scratch.name}_{architecture}",
            architecture=architecture,
            expected=Expected(f"OSNet, table 3, {title}", rank1=figures[0], mean_ap=figures[1]),
        )
        for architecture, title, figures in rows
    )


def by_cosine(name: str, data_set: str, *, rank1: float, mean_ap: float) -> Recipe:
    """The baseline of supplement B, a row of each part of table 12: fine-tuned with a cosine schedule."""
    rows = ("a, ImageNet", "b, 256x128", "c, weight 0", "d, w/o DML", "e, weight 0", "f, w/o DML")
    expected = Expected("; ".join(f"OSNet, table 12{row}" for row in rows), rank1=rank1, mean_ap=mean_ap)
    return fine_tuned(name, data_set, expected=expected).variant(name, schedule=COSINE)


def with_own_normalisation(baseline: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """Mean and deviation of the data set's pixels instead of ImageNet's. Table 12a."""
    return baseline.variant(
        f"{baseline.name}_own_normalisation",
        normalisation="data_set",
        expected=Expected("OSNet, table 12a, re-ID data set", rank1=rank1, mean_ap=mean_ap),
    )


def with_larger_input(baseline: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """Input of 320x160 px: table 12b gives only its cost, 1,529.3M Mult-Adds, which is that of this size."""
    return baseline.variant(
        f"{baseline.name}_320x160",
        height_px=320,
        width_px=160,
        expected=Expected("OSNet, table 12b, 320x160", rank1=rank1, mean_ap=mean_ap),
    )


def with_entropy(baseline: Recipe, weight: float, *, rank1: float, mean_ap: float) -> Recipe:
    """Confident predictions are penalised. Table 12c."""
    return baseline.variant(
        f"{baseline.name}_entropy_{_in_a_name(weight)}",
        losses=Losses(entropy_weight=weight),
        expected=Expected(f"OSNet, table 12c, weight {weight}", rank1=rank1, mean_ap=mean_ap),
    )


def with_mutual_learning(
    baseline: Recipe, scored: Literal["first", "second", "ensemble"], *, rank1: float, mean_ap: float
) -> Recipe:
    """Two networks teach each other, and one of them or both are scored. Table 12d."""
    title = {"first": "model-1", "second": "model-2", "ensemble": "model-1+2"}[scored]
    return baseline.variant(
        f"{baseline.name}_mutual_{scored}",
        networks=2,
        losses=Losses(mutual_weight=1.0),
        evaluation=Evaluation(networks=scored),
        expected=Expected(f"OSNet, table 12d, w/ DML {title}", rank1=rank1, mean_ap=mean_ap),
    )


def with_triplets(baseline: Recipe, weight: float, *, rank1: float, mean_ap: float) -> Recipe:
    """Triplets need identities in the batch. Table 12e."""
    return baseline.variant(
        f"{baseline.name}_triplet_{_in_a_name(weight)}",
        batches=IDENTITIES,
        losses=Losses(triplet_weight=weight),
        expected=Expected(f"OSNet, table 12e, weight {weight}", rank1=rank1, mean_ap=mean_ap),
    )


def _in_a_name(weight: float) -> str:
    return str(weight).replace(".", "_")

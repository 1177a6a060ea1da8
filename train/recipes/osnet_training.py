"""How the OSNet paper trains: the part that its recipes share, said once.

Source: Zhou et al., ICCV 2019, section 4.1 and supplement A and B.
Differs: the paper gives no momentum for SGD; 0.9 is ours. Its main part does not name the distance, its supplement
takes the cosine, and so do all recipes; the public code takes the squared Euclidean distance of raw features.
"""

from train.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

FLIP_AND_ERASE = Augmentation(flip=0.5, erase=0.5)


def fine_tuned(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """From ImageNet weights: the first ten epochs train the classifier alone. Section 4.1."""
    return Recipe(
        name=name,
        architecture="osnet_x1_0",
        data_set=data_set,
        height_px=256,
        width_px=128,
        batches=Batches(size=64),
        augmentation=FLIP_AND_ERASE,
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


def by_cosine(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """The baseline of supplement B: fine-tuned with a cosine schedule, over the 250 epochs of the public code."""
    return fine_tuned(name, data_set, expected=expected).variant(
        name, schedule=Schedule(epochs=250, shape="cosine", classifier_only_epochs=10)
    )


# Supplement B: triplets need identities in the batch, two networks need each other's opinion.
IDENTITIES = Batches(size=64, images_per_identity=4)
MUTUAL = Losses(mutual_weight=1.0)
MUTUAL_AND_TRIPLET = Losses(mutual_weight=1.0, triplet_weight=0.5)

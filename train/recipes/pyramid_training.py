"""How the Pyramid paper trains: the settings that its recipes share.

Source: Zheng et al., CVPR 2019, sections 3.2 and 4.1.
Differs: where the paper says nothing, public code is followed: ResNet-101, new layers learn ten times as fast as the
backbone, mirrored and (one in five) erased images. The paper's single learning rate is the variant `one_rate`.
Descriptors are compared by the cosine distance; the code takes the Euclidean distance of raw features.
The paper never uses people of fewer than eight images in balanced batches; here, as in the
code, some of their images are used twice.
"""

from train.recipes.recipe import Augmentation, Batches, Dynamic, Expected, Losses, Optimiser, Recipe, Schedule

LOSSES = Losses(
    label_smoothing=0.0, over_branches="sum", triplet_weight=1.0, triplet_margin=1.4, triplet_on="concatenation"
)
TRIPLET_ON_EACH = Losses(
    label_smoothing=0.0, over_branches="sum", triplet_weight=1.0, triplet_margin=1.4, triplet_on="each"
)


def pyramid(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """The pyramid of 21 branches, from the ImageNet weights of ResNet-101. Section 4.1."""
    return Recipe(
        name=name,
        architecture="pyramid",
        data_set=data_set,
        height_px=384,
        width_px=128,
        batches=Batches(size=64, images_per_identity=8),
        augmentation=Augmentation(flip=0.5, erase=0.2),
        losses=LOSSES,
        optimiser=Optimiser("sgd", 0.01, new_layers_learning_rate=0.1),
        schedule=Schedule(epochs=120, shape="steps", steps=(60, 70, 80, 90), factor=0.5),
        expected=expected,
        dynamic=Dynamic(),
        resize="bicubic",
        needs_weights=True,
    )

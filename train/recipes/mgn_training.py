"""How the MGN paper trains: the settings that its recipes share.

Source: Wang et al., ACM MM 2018, sections 3.2 and 4.1. The paper gives its losses no weights and does not average
them over the branches, so they are added; its learning rate of 0.01 with SGD belongs to that sum. Public code averages
the classifiers' losses and the triplet losses over the branches and trains with Adam, on which a constant factor has
little effect; with SGD the average over eight classifiers would make each step an eighth of the paper's. So losses are
averaged only together with Adam, in the variant `adam` of `mgn_market1501.py`.
Differs: the paper's equations also add the losses of a batch's images; here they are averaged, because the rate of
0.01 needs that. Descriptors are compared by the cosine distance. An epoch uses every image once: only this agrees with
the training hours that the paper gives.
"""

from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule

SOFTMAX = Losses(label_smoothing=0.0, over_branches="sum")
SOFTMAX_AND_TRIPLET = Losses(label_smoothing=0.0, over_branches="sum", triplet_weight=1.0, triplet_margin=1.2)
MEANS_OF_SOFTMAX_AND_TRIPLET = Losses(label_smoothing=0.0, triplet_weight=1.0, triplet_margin=1.2)


def mgn(name: str, data_set: str, *, expected: Expected) -> Recipe:
    """MGN from the ImageNet weights of ResNet-50. Section 4.1."""
    return Recipe(
        name=name,
        architecture="mgn",
        data_set=data_set,
        height_px=384,
        width_px=128,
        batches=Batches(size=64, images_per_identity=4),
        augmentation=Augmentation(flip=0.5),
        losses=SOFTMAX_AND_TRIPLET,
        optimiser=Optimiser("sgd", 0.01),
        schedule=Schedule(epochs=80, shape="steps", steps=(40, 60)),
        expected=expected,
        evaluation=Evaluation(flip=True),
        resize="bicubic",
        needs_weights=True,
    )

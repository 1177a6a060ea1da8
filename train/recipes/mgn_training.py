"""How the MGN paper trains: the part that its recipes share, said once.

Source: Wang et al., ACM MM 2018, section 4.1.
Differs: the paper adds up its losses (its equation also adds up the anchors); here the classifiers' losses are averaged
and so are the triplet losses, as in the public code. That code trains by Adam, to which a factor means little; by SGD
it makes the steps of MGN's eight classifiers an eighth of the paper's, so the variant `sum_of_losses` adds them up.
Descriptors are compared by the cosine distance. An epoch passes over all images: only that agrees with the hours the
paper gives.
"""

from train.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule

SOFTMAX = Losses(label_smoothing=0.0)
SOFTMAX_AND_TRIPLET = Losses(label_smoothing=0.0, triplet_weight=1.0, triplet_margin=1.2)
SUM_OF_SOFTMAX_AND_TRIPLET = Losses(label_smoothing=0.0, over_branches="sum", triplet_weight=1.0, triplet_margin=1.2)


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

"""How the PLR-OSNet paper trains: the part that its recipes share, said once.

Source: Xie et al., PLR-OSNet, 2020, sections III and IV.B. The paper names the losses but not their weights, nor label
smoothing and weight decay; those are the public code's, and so is each loss being the mean over the two branches.
Differs: the public code compares descriptors by the Euclidean distance, and its class centres are random points that
never move; here they are learned, as the centre loss is meant. `PUBLIC_CENTRES` is the code's form.
"""

from train.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

LOSSES = Losses(triplet_weight=1.0, triplet_margin=None, centre_weight=0.0005)
HARD_MARGIN = Losses(triplet_weight=1.0, triplet_margin=0.3, centre_weight=0.0005)
PUBLIC_CENTRES = Losses(triplet_weight=1.0, triplet_margin=None, centre_weight=0.0005, centres="frozen")

SHORT = Schedule(epochs=120, shape="steps", steps=(60, 90), warm_up_epochs=19, warm_up_from=0.1)
LONG = Schedule(epochs=150, shape="steps", steps=(100, 130), warm_up_epochs=39, warm_up_from=0.1)
"""That of CUHK03, in square brackets in the paper. The highest rate rules the last of the 20 [40] warm-up epochs."""


def plr_osnet(name: str, data_set: str, *, schedule: Schedule, expected: Expected) -> Recipe:
    """PLR-OSNet from the ImageNet weights of OSNet. Section IV.B."""
    return Recipe(
        name=name,
        architecture="plr_osnet",
        data_set=data_set,
        height_px=256,
        width_px=128,
        batches=Batches(size=64, images_per_identity=4),
        augmentation=Augmentation(flip=0.5, erase=0.5),
        losses=LOSSES,
        optimiser=Optimiser("adam", 3.5e-4),
        schedule=schedule,
        expected=expected,
        needs_weights=True,
    )

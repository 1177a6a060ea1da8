"""How the PLR-OSNet paper trains: the settings that its recipes share.

Source: Xie et al., PLR-OSNet, 2020, sections III and IV.B. The paper names the losses but not their weights, nor label
smoothing and weight decay; those are the public code's, and so is each loss being the mean over the two branches.
Differs: the public code compares descriptors by the Euclidean distance, and its class centres are random points that
never move; here they are learned, as the centre loss is meant. The variant `public_code` has the code's form.
"""

from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule

SHORT = Schedule(epochs=120, shape="steps", steps=(60, 90), warm_up_epochs=19, warm_up_from=0.1)
LONG = Schedule(epochs=150, shape="steps", steps=(100, 130), warm_up_epochs=39, warm_up_from=0.1)
"""CUHK03's schedule, in square brackets in the paper. The last of the 20 [40] warm-up epochs has the highest rate."""

COMPLETE = (
    "PLR-OSNet, table IV, global features; PLR-OSNet, table V, single ID loss; PLR-OSNet, table VI, attention modules"
)
"""The rows of the ablation tables that show the same network as tables I to III."""


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
        losses=Losses(triplet_weight=1.0, triplet_margin=None, centre_weight=0.0005),
        optimiser=Optimiser("adam", 3.5e-4),
        schedule=schedule,
        expected=expected,
        needs_weights=True,
    )


def without_global(full: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """The local branch alone. Table IV."""
    return full.variant(
        f"{full.name}:without_global",
        architecture="plr_osnet_without_global",
        expected=Expected("PLR-OSNet, table IV, without global features", rank1=rank1, mean_ap=mean_ap),
    )


def multiple_id(full: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """A classifier for each local part. Table V."""
    return full.variant(
        f"{full.name}:multiple_id",
        architecture="plr_osnet_multiple_id",
        expected=Expected("PLR-OSNet, table V, multiple ID loss", rank1=rank1, mean_ap=mean_ap),
    )


def without_attention(full: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """No attention modules. Table VI."""
    return full.variant(
        f"{full.name}:without_attention",
        architecture="plr_osnet_without_attention",
        expected=Expected("PLR-OSNet, table VI, without attention modules", rank1=rank1, mean_ap=mean_ap),
    )


def hard_margin(full: Recipe, *, rank1: float, mean_ap: float) -> Recipe:
    """The paper does not give the hard margin of table VII; 0.3 is the usual one."""
    return full.variant(
        f"{full.name}:hard_margin",
        losses=Losses(triplet_weight=1.0, triplet_margin=0.3, centre_weight=0.0005),
        expected=Expected("PLR-OSNet, table VII, hard margin", rank1=rank1, mean_ap=mean_ap),
    )


def pooled_gate(full: Recipe) -> Recipe:
    """No row of a table: the channel gate sees the average over all positions, as the paper's text says."""
    return full.variant(
        f"{full.name}:pooled_gate", architecture="plr_osnet_pooled_gate", expected=Expected("not in the paper")
    )


def public_code(full: Recipe) -> Recipe:
    """Not in the paper: class centres that are random points and never move, and the Euclidean distance."""
    return full.variant(
        f"{full.name}:public_code",
        losses=Losses(triplet_weight=1.0, triplet_margin=None, centre_weight=0.0005, centres="frozen"),
        evaluation=Evaluation(distance="euclidean"),
        expected=Expected("public code"),
    )

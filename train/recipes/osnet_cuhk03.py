"""OSNet on CUHK03, new protocol, detected boxes.

Source: Zhou et al., ICCV 2019, section 4.1 and table 3 (with ImageNet weights, and the dagger row from scratch).
Command: python train/run.py osnet_cuhk03 --data DIR --weights imagenet.pth
         python train/run.py osnet_cuhk03:scratch --data DIR
Expected: the figures below are the paper's, on the original images. The copy of the data matters: smaller
images give lower scores.
Differs: see `osnet_training.py`. `demo` is no row of the paper: it is the small network that the demo runs, trained
from scratch without a GPU in two steps, `demo_small` at a quarter of the pixels and then `demo --weights` of that at
full size, with the cosine schedule and the triplet loss of the paper's supplement (B).
"""

from train.recipes.osnet_training import fine_tuned, from_scratch, lightweight
from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Recipe, Schedule

_FINE_TUNED = fine_tuned(
    "osnet_cuhk03",
    "cuhk03_np_detected",
    expected=Expected("OSNet, table 3, OSNet", rank1=0.723, mean_ap=0.678),
)

_SCRATCH = from_scratch(
    "osnet_cuhk03:scratch",
    "cuhk03_np_detected",
    expected=Expected("OSNet, table 3, OSNet from scratch", rank1=0.571, mean_ap=0.542),
)

_DEMO_SMALL = _SCRATCH.variant(
    "osnet_cuhk03:demo_small",
    architecture="osnet_x0_25",
    height_px=128,
    width_px=64,
    batches=Batches(size=64, images_per_identity=4),
    losses=Losses(triplet_weight=1.0, triplet_on_unit_length=True, triplet_from_epoch=12),
    schedule=Schedule(epochs=60, shape="cosine", warm_up_epochs=2),
    expected=Expected("ours"),
)

_DEMO = _DEMO_SMALL.variant(
    "osnet_cuhk03:demo",
    height_px=256,
    width_px=128,
    augmentation=Augmentation(flip=0.5, crop=0.5, patch=0.3, erase=0.3, colour=1.0),
    losses=Losses(triplet_weight=1.0, triplet_on_unit_length=True),
    schedule=Schedule(epochs=45, shape="cosine", warm_up_epochs=2),
    needs_weights=True,
)


def _width(recipe: Recipe, width: str) -> Recipe:
    name = f"{recipe.name}{'_' if ':' in recipe.name else ':'}{width}"
    return recipe.variant(name, architecture=f"osnet_{width}", expected=Expected("not in the paper"))


RECIPES = (
    _FINE_TUNED,
    *(_width(_FINE_TUNED, width) for width in ("x0_75", "x0_5", "x0_25")),
    _SCRATCH,
    *(_width(_SCRATCH, width) for width in ("x0_75", "x0_5", "x0_25")),
    *lightweight(_SCRATCH, shufflenet=(0.384, 0.372), mobilenet=(0.465, 0.460)),
    _DEMO_SMALL,
    _width(_DEMO_SMALL, "x1_0"),
    _DEMO,
)

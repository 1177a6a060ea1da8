"""Ours: OSNet learns the descriptors of other networks, its teachers, from crops that need no labels.

Source: the losses are common ones of distillation: cosine to a teacher's descriptor, and equal similarities of pairs.
Command: python train/run.py distil_osnet:x0_25 --teacher FILE [--teacher FILE] --data CROPS [CROPS ...] --test-data DIR
Expected: no published figures.
Differs: there is no paper to compare with. On two CPU cores train most epochs on small images: `tiny` (64x32) first,
then `small` (128x64) from its weights, then the full size. `labels` adds the cross entropy of images whose person is
known; `fine_tuned` goes on from trained weights and lets the new classifier and the maps to the teachers settle first.
"""

from train.recipes.recipe import Augmentation, Batches, Distillation, Expected, Losses, Optimiser, Recipe, Schedule

_PRIMARY = Recipe(
    name="distil_osnet",
    architecture="osnet_x1_0",
    data_set="folder",
    height_px=256,
    width_px=128,
    batches=Batches(size=64),
    augmentation=Augmentation(flip=0.5, crop=0.5, erase=0.3, colour=0.5, resolution=0.3),
    losses=Losses(),
    optimiser=Optimiser("adamw", 0.002, weight_decay=0.02),
    schedule=Schedule(epochs=60, shape="cosine", warm_up_epochs=3),
    expected=Expected("ours"),
    task="distillation",
    distillation=Distillation(),
)
_WIDTHS = ("x0_75", "x0_5", "x0_25")


def _sizes(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipe at three input sizes."""
    return (
        recipe,
        _part(recipe, "small", height_px=128, width_px=64),
        _part(recipe, "tiny", height_px=64, width_px=32),
    )


def _widths(recipe: Recipe) -> tuple[Recipe, ...]:
    """The recipe at four widths."""
    return (recipe, *(_part(recipe, width, architecture=f"osnet_{width}") for width in _WIDTHS))


def _part(recipe: Recipe, name: str, **changes: object) -> Recipe:
    return recipe.variant(f"{recipe.name}{'_' if ':' in recipe.name else ':'}{name}", **changes)


_LABELS = _part(
    _PRIMARY,
    "labels",
    optimiser=Optimiser("adamw", 0.001, weight_decay=0.02),
    distillation=Distillation(labels_weight=0.5),
)

_FINE_TUNED = _part(
    _LABELS,
    "fine_tuned",
    optimiser=Optimiser("adamw", 0.0007, weight_decay=0.02),
    schedule=Schedule(epochs=10, shape="cosine", classifier_only_epochs=1),
    needs_weights=True,
)

RECIPES = tuple(wide for form in (_PRIMARY, _LABELS, _FINE_TUNED) for sized in _sizes(form) for wide in _widths(sized))

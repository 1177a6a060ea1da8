"""OSNet on CIFAR-10 and CIFAR-100: objects instead of people, at two depths, with ablations of its gates and scales.

Source: Zhou et al., ICCV 2019, section 4.3, tables 8 and 9; the training is that of Zagoruyko and Komodakis, Wide
Residual Networks, BMVC 2016, section 3, which the paper follows.
Command: python train/run.py osnet_cifar10 --data DIR
         python train/run.py osnet_cifar100 --data DIR
Expected: errors of 4.41 % and 19.21 %; 4.18 % and 18.88 % with depth 210.
Differs: the paper does not say how its network begins; a 3x3 convolution without pooling is ours. Images are padded
with black; Wide Residual Networks pad with reflections.
"""

from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

CIFAR10 = Recipe(
    name="osnet_cifar10",
    architecture="osnet_cifar_78",
    data_set="cifar10",
    height_px=32,
    width_px=32,
    batches=Batches(size=128),
    augmentation=Augmentation(flip=0.5, pad_px=4),
    losses=Losses(label_smoothing=0.0),
    optimiser=Optimiser("sgd", 0.1, nesterov=True),
    schedule=Schedule(epochs=200, shape="steps", steps=(60, 120, 160), factor=0.2),
    expected=Expected("OSNet, table 8, depth 78; OSNet, table 9, T=4 unified AG", top1_error=0.0441),
    task="classification",
    normalisation="data_set",
)

_CIFAR100 = CIFAR10.variant(
    "osnet_cifar100",
    data_set="cifar100",
    expected=Expected("OSNet, table 8, depth 78; OSNet, table 9, T=4 unified AG", top1_error=0.1921),
)


def _form(recipe: Recipe, name: str, *, row: str, top1_error: float) -> Recipe:
    """The recipe with another form of the network, a row of table 8 or 9."""
    architecture = "osnet_cifar_210" if name == "depth_210" else f"osnet_cifar_78_{name}"
    expected = Expected(f"OSNet, table {row}", top1_error=top1_error)
    return recipe.variant(f"{recipe.name}:{name}", architecture=architecture, expected=expected)


RECIPES = (
    CIFAR10,
    _form(CIFAR10, "depth_210", row="8, depth 210", top1_error=0.0418),
    _form(CIFAR10, "t1", row="9, T=1", top1_error=0.0549),
    _form(CIFAR10, "addition", row="9, T=4 addition", top1_error=0.0472),
    _CIFAR100,
    _form(_CIFAR100, "depth_210", row="8, depth 210", top1_error=0.1888),
    _form(_CIFAR100, "t1", row="9, T=1", top1_error=0.2178),
    _form(_CIFAR100, "addition", row="9, T=4 addition", top1_error=0.2024),
)

"""Ours: OSNet x0.25 on CIFAR-10, small and short, to compare architectures on two CPU cores.

Source: the ablation is that of Zhou et al., ICCV 2019, table 9.
Command: python train/run.py reduced_cifar10 --data DIR
Expected: nothing published; the variants name the row whose form they have.
Differs: a quarter of the width and 10 epochs instead of 200, the steps in proportion.
"""

from train.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

_PRIMARY = Recipe(
    name="reduced_cifar10",
    architecture="osnet_cifar_78_x0_25",
    data_set="cifar10",
    height_px=32,
    width_px=32,
    batches=Batches(size=128),
    augmentation=Augmentation(flip=0.5, pad_px=4),
    losses=Losses(label_smoothing=0.0),
    optimiser=Optimiser("sgd", 0.1, nesterov=True),
    schedule=Schedule(epochs=10, shape="steps", steps=(3, 6, 8), factor=0.2),
    expected=Expected("ours"),
    task="classification",
    normalisation="data_set",
)

RECIPES = (
    _PRIMARY,
    _PRIMARY.variant("reduced_cifar10:t1", architecture="osnet_cifar_78_t1_x0_25"),
    _PRIMARY.variant("reduced_cifar10:addition", architecture="osnet_cifar_78_addition_x0_25"),
)

"""Ours: OSNet x0.25 on CIFAR-10, small and short, to compare architectures on two CPU cores.

Source: the ablation is that of Zhou et al., ICCV 2019, table 9.
Command: python train/run.py reduced_cifar10 --data DIR
Expected: no published figures; each variant names the table row whose architecture it has.
Differs: from `osnet_cifar10` by a quarter of the width and 10 epochs instead of 200, the steps in proportion.
"""

from train.recipes.osnet_cifar10_cifar100 import CIFAR10
from train.recipes.recipe import Expected, Schedule

_PRIMARY = CIFAR10.variant(
    "reduced_cifar10",
    architecture="osnet_cifar_78_x0_25",
    schedule=Schedule(epochs=10, shape="steps", steps=(3, 6, 8), factor=0.2),
    expected=Expected("ours"),
)

RECIPES = (
    _PRIMARY,
    _PRIMARY.variant("reduced_cifar10:t1", architecture="osnet_cifar_78_t1_x0_25"),
    _PRIMARY.variant("reduced_cifar10:addition", architecture="osnet_cifar_78_addition_x0_25"),
)

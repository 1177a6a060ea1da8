"""Every recipe by its name."""

from difflib import get_close_matches

from edge_runtime.contract.errors import ConfigError
from train.recipes import (
    best_osnet,
    distil_osnet,
    mgn_cuhk03,
    mgn_dukemtmcreid,
    mgn_market1501,
    osnet_cifar10_cifar100,
    osnet_cuhk03,
    osnet_dukemtmcreid,
    osnet_ibn_cross_domain,
    osnet_imagenet,
    osnet_market1501,
    osnet_msmt17,
    osnet_pa100k,
    osnet_small_sets,
    plr_osnet_cuhk03,
    plr_osnet_dukemtmcreid,
    plr_osnet_market1501,
    pyramid_cuhk03,
    pyramid_dukemtmcreid,
    pyramid_market1501,
    reduced_cifar10,
    reduced_cuhk03,
)
from train.recipes.recipe import Recipe

_MODULES = (
    *(osnet_market1501, osnet_cuhk03, osnet_dukemtmcreid, osnet_msmt17, osnet_small_sets),
    *(osnet_pa100k, osnet_cifar10_cifar100, osnet_imagenet, osnet_ibn_cross_domain, best_osnet),
    *(plr_osnet_market1501, plr_osnet_dukemtmcreid, plr_osnet_cuhk03),
    *(mgn_market1501, mgn_dukemtmcreid, mgn_cuhk03),
    *(pyramid_market1501, pyramid_dukemtmcreid, pyramid_cuhk03),
    *(reduced_cuhk03, reduced_cifar10, distil_osnet),
)

_RECIPES: dict[str, Recipe] = {recipe.name: recipe for module in _MODULES for recipe in module.RECIPES}


def all_recipes() -> tuple[Recipe, ...]:
    """All recipes, paper by paper."""
    return tuple(_RECIPES.values())


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ConfigError: unknown name; the nearest known ones are named.
    """
    if name not in _RECIPES:
        near = ", ".join(get_close_matches(name, _RECIPES, n=5, cutoff=0.0))
        raise ConfigError(f"unknown recipe {name!r}; nearest are {near}; python train/run.py --list shows all")
    return _RECIPES[name]

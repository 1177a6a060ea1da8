"""Every recipe by its name."""

from edge_runtime.contract.errors import ConfigError
from train.recipe import Recipe
from train.recipes import osnet_cuhk03, reduced_cifar10, reduced_cuhk03

_MODULES = (osnet_cuhk03, reduced_cuhk03, reduced_cifar10)

_RECIPES: dict[str, Recipe] = {recipe.name: recipe for module in _MODULES for recipe in module.RECIPES}


def all_recipes() -> tuple[Recipe, ...]:
    """All recipes, paper by paper."""
    return tuple(_RECIPES.values())


def find_recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        ConfigError: unknown name; the known ones are listed.
    """
    if name not in _RECIPES:
        raise ConfigError(f"unknown recipe {name!r}; known: {', '.join(_RECIPES)}")
    return _RECIPES[name]

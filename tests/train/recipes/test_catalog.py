"""All recipes are found, and what they name exists."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any, cast

import pytest

from tests.support.shapes_only import build_shapes
from train import recipes
from train.datasets.catalog import DATA_SETS, OWN_FOLDER
from train.models.catalog import architectures
from train.recipes.catalog import all_recipes, find_recipe
from train.recipes.recipe import Recipe

WITH_PARTS = [recipe.name for recipe in all_recipes() if recipe.evaluation.parts]


def recipes_of_all_files() -> Iterator[Recipe]:
    for module in pkgutil.iter_modules(recipes.__path__):
        yield from getattr(importlib.import_module(f"train.recipes.{module.name}"), "RECIPES", ())


def test_every_recipe_of_every_file_has_a_name_of_its_own_in_the_catalog() -> None:
    """None is hidden by another's name, and no file is forgotten."""
    assert sorted(recipe.name for recipe in recipes_of_all_files()) == sorted(recipe.name for recipe in all_recipes())


def test_a_variant_bears_the_name_of_the_recipe_it_varies() -> None:
    """`osnet_cuhk03:scratch` belongs to `osnet_cuhk03`."""
    for recipe in all_recipes():
        assert recipe.name.partition(":")[0] in {other.name for other in all_recipes()}, recipe.name


def test_every_recipe_names_a_network_and_data_sets_that_exist() -> None:
    """A name that is misspelt is not found out after the data were read."""
    for recipe in all_recipes():
        assert recipe.architecture in architectures(), recipe.name
        assert {recipe.data_set, recipe.test_set} - {None} <= {*DATA_SETS, OWN_FOLDER}, recipe.name


@pytest.mark.parametrize("name", WITH_PARTS)
def test_compared_parts_are_parts_of_the_descriptor(name: str) -> None:
    """The rows of MGN that score one branch of it."""
    recipe = find_recipe(name)
    network = build_shapes(recipe.architecture, classes=2)
    known = dict(cast(Any, network).descriptor_parts)
    assert set(recipe.evaluation.parts) < set(known)


def test_recipes_that_committed_models_were_trained_by_keep_their_names() -> None:
    """Records and manifests refer to them."""
    for name in ("osnet_cuhk03", "osnet_cuhk03:scratch", "osnet_cuhk03:scratch_x0_25", "osnet_cuhk03:demo"):
        assert find_recipe(name).name == name
    small = find_recipe("osnet_cuhk03:demo_small")
    assert (small.architecture, small.height_px, small.schedule.epochs) == ("osnet_x0_25", 128, 60)
    assert find_recipe("osnet_cuhk03:demo_small_x1_0").architecture == "osnet_x1_0"


def test_mgn_adds_up_its_losses_where_it_follows_the_paper() -> None:
    """Its rate of SGD belongs to the sum; the means of public code go with that code's Adam."""
    for recipe in all_recipes():
        if recipe.name.startswith("mgn") and recipe.optimiser.name == "sgd" and "mean_of_losses" not in recipe.name:
            assert recipe.losses.over_branches == "sum", recipe.name
    assert find_recipe("mgn_market1501:adam").losses.over_branches == "mean"

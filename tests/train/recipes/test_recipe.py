"""Recipes refuse contradictions, and their schedules are the papers'."""

import dataclasses
import json
from typing import Any

import pytest

from edge_runtime.contract.errors import ConfigError
from tests.conftest import ROOT
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Batches, Losses, Recipe, Schedule
from train.training.optimisers import learning_rate

SCHEDULES: dict[str, Any] = json.loads((ROOT / "tests/golden/schedules.json").read_text())


def rates(recipe: Recipe) -> list[float]:
    return [learning_rate(recipe, epoch) for epoch in range(recipe.schedule.epochs)]


def by_steps(points: list[dict[str, float]], epochs: int) -> list[float]:
    return [[p["lr"] for p in points if p["from_epoch"] <= epoch][-1] for epoch in range(epochs)]


def test_paper_schedules_equal_the_golden_ones() -> None:
    """Fine-tuning and scratch of OSNet, epoch by epoch."""
    fine_tune, scratch = find_recipe("osnet_cuhk03"), find_recipe("osnet_cuhk03:scratch")
    assert rates(fine_tune) == pytest.approx(by_steps(SCHEDULES["osnet_finetune_amsgrad_step"], 150))
    assert rates(scratch) == pytest.approx(by_steps(SCHEDULES["osnet_scratch_sgd_paper"], 350))


def test_cosine_schedule_equals_the_golden_one() -> None:
    """Half a cosine over 250 epochs."""
    cosine = find_recipe("osnet_cuhk03").variant("cosine", schedule=Schedule(250, "cosine"), needs_weights=False)
    assert rates(cosine) == pytest.approx(SCHEDULES["osnet_finetune_cosine_250"])


def test_all_faults_of_a_recipe_are_reported_at_once() -> None:
    """Two contradictions, one message."""
    with pytest.raises(ConfigError, match=r"images_per_identity.*rise and lie below"):
        find_recipe("osnet_cuhk03:scratch").variant(
            "broken", losses=Losses(triplet_weight=1.0), schedule=Schedule(10, "steps", steps=(20,))
        )


def test_batch_size_must_hold_whole_identities() -> None:
    """64 images of 5 per identity do not come out even."""
    with pytest.raises(ConfigError, match="no multiple"):
        find_recipe("osnet_cuhk03:scratch").variant("broken", batches=Batches(64, images_per_identity=5))


def test_settings_that_would_do_nothing_are_refused() -> None:
    """Attributes and distillation have losses of their own, and dynamic training its own start of triplets."""
    with pytest.raises(ConfigError, match="attributes have their own loss"):
        find_recipe("osnet_pa100k").variant("broken", losses=Losses())
    pyramid = find_recipe("pyramid_market1501")
    with pytest.raises(ConfigError, match="itself decides when triplets count"):
        pyramid.variant("broken", losses=dataclasses.replace(pyramid.losses, triplet_from_epoch=1))
    with pytest.raises(ConfigError, match="need each other"):
        find_recipe("distil_osnet").variant("broken", distillation=None)
    with pytest.raises(ConfigError, match="losses may only set label_smoothing"):
        find_recipe("distil_osnet").variant("broken", losses=Losses(entropy_weight=0.1))


def test_a_typing_error_is_answered_with_the_nearest_recipes() -> None:
    """There are too many to name them all."""
    with pytest.raises(ConfigError, match=r"nearest are osnet_cuhk03, .*--list shows all"):
        find_recipe("osnet_cuhk3")


def test_recipes_cannot_be_changed() -> None:
    """A run's settings stay what was written down."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        find_recipe("osnet_cuhk03").height_px = 1  # type: ignore[misc]

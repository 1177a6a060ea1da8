"""The update rule is the recipe's."""

import json
from typing import Any

import pytest
import torch

from tests.conftest import ROOT
from train.models.catalog import build
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Optimiser, Recipe, Schedule
from train.training.optimisers import build_optimiser, learning_rate, set_rate, trains_only_classifier


def test_new_layers_learn_at_their_own_rate() -> None:
    """The classifier ten times faster than what pretrained weights fill, all through the schedule."""
    network = build("osnet_x0_25", classes=4)
    optimiser = build_optimiser([network], Optimiser("sgd", 0.01, new_layers_learning_rate=0.1, nesterov=True))
    set_rate(optimiser, 0.002)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert len(rates) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.02 if name.startswith("classifier") else 0.002), name
    assert all(group["nesterov"] and group["weight_decay"] == 5e-4 for group in optimiser.param_groups)


@pytest.mark.parametrize(("name", "amsgrad"), [("adam", False), ("amsgrad", True)])
def test_adam_keeps_the_largest_second_moment_only_as_amsgrad(name: str, amsgrad: bool) -> None:
    """One rate for all layers unless the recipe says otherwise."""
    optimiser = build_optimiser([torch.nn.Linear(2, 2)], Optimiser(name, 0.001))  # type: ignore[arg-type]
    set_rate(optimiser, 0.0005)
    (group,) = optimiser.param_groups
    assert (group["amsgrad"], group["lr"]) == (amsgrad, 0.0005)


def test_adamw_decays_weights_apart_from_the_gradient() -> None:
    """One step with a gradient of zero: the weight shrinks by rate times decay."""
    network = torch.nn.Linear(1, 1, bias=False)
    before = network.weight.item()
    network.weight.grad = torch.zeros(1, 1)
    build_optimiser([network], Optimiser("adamw", 0.1, weight_decay=0.02)).step()
    assert network.weight.item() == pytest.approx(before * (1 - 0.1 * 0.02), rel=1e-6)


GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/schedules.json").read_text())
RECIPES = {
    "plr_osnet_market_duke": "plr_osnet_market1501",
    "plr_osnet_cuhk03": "plr_osnet_cuhk03_detected",
    "osnet_finetune_amsgrad_step": "osnet_market1501",
    "osnet_finetune_cosine_250": "osnet_market1501:cosine",
    "osnet_scratch_sgd_paper": "osnet_market1501:scratch",
    "osnet_attributes_sgd_paper": "osnet_pa100k",
    "mgn_paper_sgd": "mgn_market1501",
    "pyramid_paper_sgd_halved_at_60_70_80_90": "pyramid_market1501",
}
FIVE_HALVINGS = Schedule(120, "steps", (60, 70, 80, 90, 100), factor=0.5)
OTHERS = {
    "pyramid_official_code_backbone_halved_at_60_70_80_90_100": (0.01, FIVE_HALVINGS),
    "pyramid_official_code_new_layers": (0.1, FIVE_HALVINGS),
    "bag_of_tricks_warmup10_steps_40_70": (
        3.5e-4,
        Schedule(120, "steps", (40, 70), warm_up_epochs=10, warm_up_from=0.01),
    ),
}


def rates(recipe: Recipe) -> list[float]:
    """The learning rate of every epoch of a recipe."""
    return [learning_rate(recipe, epoch) for epoch in range(recipe.schedule.epochs)]


def with_schedule(highest: float, schedule: Schedule) -> Recipe:
    """A recipe with this schedule; its other settings do not matter."""
    return find_recipe("osnet_market1501:scratch").variant(
        "test", optimiser=Optimiser("sgd", highest), schedule=schedule
    )


def listed(golden: list[Any], epochs: int) -> list[float]:
    """One figure per epoch, also where the golden file gives change points."""
    if isinstance(golden[0], float):
        return golden
    return [[point["lr"] for point in golden if point["from_epoch"] <= epoch][-1] for epoch in range(epochs)]


def test_no_golden_schedule_is_left_out() -> None:
    """Each is compared in one of the tests of this file."""
    assert RECIPES.keys() | OTHERS.keys() == GOLDEN.keys() - {"note"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_follows_its_golden_schedule(name: str) -> None:
    """Epoch by epoch, to the last."""
    recipe = find_recipe(RECIPES[name])
    assert rates(recipe) == pytest.approx(listed(GOLDEN[name], recipe.schedule.epochs), rel=1e-9)


@pytest.mark.parametrize("name", OTHERS)
def test_a_schedule_that_no_recipe_takes_can_be_written_down(name: str) -> None:
    """Those of public code that users may want to follow."""
    highest, schedule = OTHERS[name]
    assert rates(with_schedule(highest, schedule)) == pytest.approx(listed(GOLDEN[name], schedule.epochs), rel=1e-9)


def test_a_warm_up_without_a_start_climbs_from_one_step_above_zero() -> None:
    """It climbs to the highest rate in equal steps."""
    recipe = with_schedule(1.0, Schedule(5, "steps", warm_up_epochs=3))
    assert rates(recipe) == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_the_classifier_trains_alone_at_first() -> None:
    """For the announced number of epochs."""
    schedule = Schedule(5, "steps", classifier_only_epochs=2)
    assert [trains_only_classifier(schedule, epoch) for epoch in range(4)] == [True, True, False, False]

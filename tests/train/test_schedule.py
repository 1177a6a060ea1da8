"""The learning rate of every epoch against all golden schedules."""

import json
from typing import Any

import pytest

from tests.conftest import ROOT
from train.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule
from train.schedule import learning_rate, trains_only_classifier

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/schedules.json").read_text())
RATES_AND_SCHEDULES = {
    "plr_osnet_market_duke": (3.5e-4, Schedule(120, "steps", (60, 90), warm_up_epochs=19, warm_up_from=0.1)),
    "plr_osnet_cuhk03": (3.5e-4, Schedule(150, "steps", (100, 130), warm_up_epochs=39, warm_up_from=0.1)),
    "osnet_finetune_amsgrad_step": (0.0015, Schedule(150, "steps", (60, 120))),
    "osnet_finetune_cosine_250": (0.0015, Schedule(250, "cosine")),
    "osnet_scratch_sgd_paper": (0.065, Schedule(350, "steps", (150, 225, 300))),
    "osnet_attributes_sgd_paper": (0.065, Schedule(50, "steps", (30, 40))),
    "mgn_paper_sgd": (0.01, Schedule(80, "steps", (40, 60))),
    "pyramid_paper_sgd_halved_at_60_70_80_90": (0.01, Schedule(120, "steps", (60, 70, 80, 90), factor=0.5)),
    "pyramid_official_code_backbone_halved_at_60_70_80_90_100": (
        0.01,
        Schedule(120, "steps", (60, 70, 80, 90, 100), factor=0.5),
    ),
    "pyramid_official_code_new_layers": (0.1, Schedule(120, "steps", (60, 70, 80, 90, 100), factor=0.5)),
    "bag_of_tricks_warmup10_steps_40_70": (
        3.5e-4,
        Schedule(120, "steps", (40, 70), warm_up_epochs=10, warm_up_from=0.01),
    ),
}


def rates(highest: float, schedule: Schedule) -> list[float]:
    """Of every epoch."""
    recipe = Recipe(
        name="small",
        architecture="osnet_x0_25",
        data_set="small",
        height_px=64,
        width_px=32,
        batches=Batches(size=8),
        augmentation=Augmentation(),
        losses=Losses(),
        optimiser=Optimiser("sgd", highest),
        schedule=schedule,
        expected=Expected("test"),
    )
    return [learning_rate(recipe, epoch) for epoch in range(schedule.epochs)]


def listed(golden: list[Any], epochs: int) -> list[float]:
    """One figure per epoch, also where the golden file gives change points."""
    if isinstance(golden[0], float):
        return golden
    return [[point["lr"] for point in golden if point["from_epoch"] <= epoch][-1] for epoch in range(epochs)]


def test_no_golden_schedule_is_left_out() -> None:
    """Each has its line above."""
    assert set(RATES_AND_SCHEDULES) == set(GOLDEN) - {"note"}


@pytest.mark.parametrize("name", RATES_AND_SCHEDULES)
def test_the_schedule_equals_the_golden_one(name: str) -> None:
    """Epoch by epoch, to the last. A warm-up of n epochs reaches the highest rate in epoch n, counted from 0."""
    highest, schedule = RATES_AND_SCHEDULES[name]
    assert rates(highest, schedule) == pytest.approx(listed(GOLDEN[name], schedule.epochs), rel=1e-9)


def test_a_warm_up_without_a_start_climbs_from_one_step_above_zero() -> None:
    """In equal steps."""
    assert rates(1.0, Schedule(5, "steps", warm_up_epochs=3)) == pytest.approx([0.25, 0.5, 0.75, 1, 1])


def test_the_classifier_trains_alone_at_first() -> None:
    """For the announced number of epochs."""
    schedule = Schedule(5, "steps", classifier_only_epochs=2)
    assert [trains_only_classifier(schedule, epoch) for epoch in range(4)] == [True, True, False, False]

"""Pyramid's controller against the golden figures, step by step, by both rules."""

import json
import math
from typing import Any, Literal

import pytest

from tests.conftest import ROOT
from tests.golden.rule import symmetric
from train.recipes.recipe import Dynamic
from train.training.dynamic_training import Controller

GOLDEN: dict[str, Any] = json.loads((ROOT / "tests/golden/dynamic_training.json").read_text())
Rule = Literal["paper", "public_code", "alternate"]
RULES: tuple[Rule, ...] = ("paper", "public_code", "alternate")


def losses() -> list[tuple[float, float]]:
    """The made-up series of identity and triplet losses."""
    identity, triplet = symmetric("dyn.id", 40), symmetric("dyn.tp", 40)
    return [
        (
            float((138.6 * math.exp(-t / 12) + 2) * (1 + 0.05 * identity[t])),
            float((1.4 * math.exp(-t / 60) + 0.1) * (1 + 0.10 * triplet[t])),
        )
        for t in range(40)
    ]


@pytest.mark.parametrize("rule", ["paper", "public_code"])
def test_every_step_equals_the_golden_one(rule: Rule) -> None:
    """Phase of the objective, and both moving averages after the step."""
    controller = Controller(Dynamic(rule=rule))
    for (identity, triplet), expected in zip(losses(), GOLDEN[rule], strict=True):
        assert controller.observe(identity, triplet) == expected["phase"], expected["step"]
        state = controller.state()
        assert state["k_identity"] == pytest.approx(expected["k_id_after"], rel=1e-12)
        assert state["k_triplet"] == pytest.approx(expected["k_tp_after"], rel=1e-12)


def test_by_the_paper_the_batch_of_a_step_is_drawn_for_its_phase() -> None:
    """The phase is known before the step, and the step keeps to it."""
    controller = Controller(Dynamic(rule="paper"))
    for (identity, triplet), expected in zip(losses(), GOLDEN["paper"], strict=True):
        assert controller.phase == expected["phase"]
        assert controller.observe(identity, triplet) == expected["phase"]


def test_by_the_public_code_all_batches_are_identity_balanced() -> None:
    """The phase is known only after a batch was drawn."""
    controller = Controller(Dynamic(rule="public_code"))
    for identity, triplet in losses():
        assert controller.phase == "both"
        controller.observe(identity, triplet)


def test_without_triplets_both_samplers_take_turns_and_the_identity_loss_trains_alone() -> None:
    """Whatever the losses are."""
    controller = Controller(Dynamic(rule="alternate"))
    phases = []
    for identity, triplet in losses():
        phases.append(controller.phase)
        assert controller.observe(identity, triplet) == "id"
    assert phases == ["id", "both"] * 20


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stop", [0, 1, 17])
def test_a_restored_controller_goes_on_as_if_never_stopped(rule: Rule, stop: int) -> None:
    """Also through JSON, which keeps every bit of a float."""
    first, second = Controller(Dynamic(rule=rule)), Controller(Dynamic(rule=rule))
    for identity, triplet in losses()[:stop]:
        first.observe(identity, triplet)
    second.restore(json.loads(json.dumps(first.state())))
    for identity, triplet in losses()[stop:]:
        assert second.phase == first.phase
        assert second.observe(identity, triplet) == first.observe(identity, triplet)
    assert second.state() == first.state()


@pytest.mark.parametrize("rule", RULES)
def test_a_loss_of_zero_stops_nothing(rule: Rule) -> None:
    """All triplets may be far enough apart, from the start or later."""
    controller = Controller(Dynamic(rule=rule))
    for identity, triplet in [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.0, 0.0), (0.0, 0.0)]:
        assert controller.observe(identity, triplet) in ("id", "both")


def test_alternate_takes_both_batches_in_turn_and_the_identity_loss_alone() -> None:
    """The paper's run without a triplet loss keeps both samplers."""
    controller = Controller(Dynamic(rule="alternate"))
    taken = [(controller.phase, controller.observe(identity, triplet)) for identity, triplet in losses()[:4]]
    assert taken == [("id", "id"), ("both", "id"), ("id", "id"), ("both", "id")]

"""Which groups stay in float, as table rows and files."""

from pathlib import Path
from typing import get_args

import pytest

from calibration.layer_groups import LayerGroup
from calibration.precision_plan import (
    DEFAULT_PLANS,
    GroupCost,
    PrecisionPlan,
    TargetBackend,
    choose_groups,
    default_precision_plan,
    read_precision_plan,
    write_precision_plan,
)
from edge_runtime.contract.errors import ConfigError


def _cost(group: LayerGroup, *, loss: float, saved_us: float) -> GroupCost:
    return GroupCost(group=group, loss=loss, lost_map=0.0, saved_us=saved_us, low_us=0.0, high_us=0.0)


def test_every_backend_has_one_row_with_its_reason() -> None:
    """A reader of the table finds what is done, and why."""
    assert [plan.backend for plan in DEFAULT_PLANS] == list(get_args(TargetBackend))
    assert all(plan.decided_by for plan in DEFAULT_PLANS)
    assert default_precision_plan("tensorrt").activations == "int8"
    assert (
        default_precision_plan("onnxruntime").activations == default_precision_plan("openvino").activations == "uint8"
    )


def test_a_group_that_saves_no_time_stays_in_float() -> None:
    """INT8 would lose retrieval and gain no time."""
    costs = [
        _cost("gates", loss=0.0, saved_us=-1),
        _cost("sums", loss=0.0, saved_us=0),
        _cost("stem", loss=0, saved_us=1),
    ]
    assert choose_groups(costs, largest_loss=0.003) == ("gates", "sums")


def test_time_is_bought_where_it_costs_least_retrieval() -> None:
    """The group with the larger loss per microsecond is left in float when both together lose too much."""
    costs = [_cost("depthwise", loss=0.002, saved_us=10), _cost("pointwise", loss=0.002, saved_us=100)]
    assert choose_groups(costs, largest_loss=0.003) == ("depthwise",)
    assert choose_groups(costs, largest_loss=0.005) == ()
    assert choose_groups(costs, largest_loss=0.001) == ("pointwise", "depthwise")


def test_a_group_that_is_too_dear_does_not_shut_out_a_smaller_one() -> None:
    """What is left of the budget is spent on what fits."""
    costs = [
        _cost("pointwise", loss=0.002, saved_us=100),
        _cost("stem", loss=0.002, saved_us=50),
        _cost("sums", loss=0.001, saved_us=5),
    ]
    assert choose_groups(costs, largest_loss=0.003) == ("stem",)


def test_a_precision_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Save and load are inverse."""
    costs = (_cost("stem", loss=0.1, saved_us=1),)
    plan = PrecisionPlan(backend="openvino", method="mse", kept_in_float=("stem",), decided_by="a test", measured=costs)
    write_precision_plan(plan, tmp_path / "plan.json")
    assert read_precision_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{}", "backend: Field required"),
        (
            '{"backend": "onnxruntime", "kept_in_float": ["tails"], "decided_by": ""}',
            "kept_in_float.0: Input should be",
        ),
        ('{"backend": "cpu", "kept_in_float": [], "decided_by": "", "colour": 1}', "colour: Extra inputs"),
        ("nonsense", "file: Invalid JSON"),
    ],
)
def test_a_file_that_is_no_precision_plan_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    """With what is wrong and where."""
    path = tmp_path / "plan.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=fault):
        read_precision_plan(path)


def test_a_precision_plan_that_is_missing_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The sentence says what to do."""
    with pytest.raises(
        ConfigError, match=r"cannot read the precision plan .*json: No such file.*export/building/sensitivity\.py"
    ):
        read_precision_plan(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="give another --output"):
        write_precision_plan(DEFAULT_PLANS[0], tmp_path / "nowhere" / "plan.json")

"""Which groups stay in float, as table rows and files."""

from pathlib import Path
from typing import get_args

import pytest

from calibration.layer_groups import Group
from calibration.precision_plan import (
    CHOICES,
    Backend,
    Choice,
    GroupCost,
    choose_groups,
    default_choice,
    read_choice,
    write_choice,
)
from edge_runtime.contract.errors import ConfigError


def _cost(group: Group, *, loss: float, saved_us: float) -> GroupCost:
    return GroupCost(group=group, loss=loss, lost_map=0.0, saved_us=saved_us, low_us=0.0, high_us=0.0)


def test_every_backend_has_one_row_with_its_reason() -> None:
    """A reader of the table finds what is done, and why."""
    assert [choice.backend for choice in CHOICES] == list(get_args(Backend))
    assert all(choice.decided_by for choice in CHOICES)
    assert default_choice("tensorrt").activations == "int8"
    assert default_choice("onnxruntime").activations == default_choice("openvino").activations == "uint8"


def test_a_group_that_saves_no_time_stays_in_float() -> None:
    """It would cost retrieval for nothing."""
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


def test_a_choice_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Save and load are inverse."""
    costs = (_cost("stem", loss=0.1, saved_us=1),)
    choice = Choice(backend="openvino", method="mse", kept_in_float=("stem",), decided_by="a test", measured=costs)
    write_choice(choice, tmp_path / "choice.json")
    assert read_choice(tmp_path / "choice.json") == choice


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{}", "backend: Field required"),
        (
            '{"backend": "onnxruntime", "kept_in_float": ["heads"], "decided_by": ""}',
            "kept_in_float.0: Input should be",
        ),
        ('{"backend": "cpu", "kept_in_float": [], "decided_by": "", "colour": 1}', "colour: Extra inputs"),
        ("nonsense", "file: Invalid JSON"),
    ],
)
def test_a_file_that_is_no_choice_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    """With what is wrong and where."""
    path = tmp_path / "choice.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=fault):
        read_choice(path)


def test_a_choice_that_is_missing_or_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The sentence says what to do."""
    with pytest.raises(ConfigError, match=r"cannot read the choice .*json: No such file.*export/sensitivity\.py"):
        read_choice(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="give another --output"):
        write_choice(CHOICES[0], tmp_path / "nowhere" / "choice.json")

"""What may be lost."""

import argparse

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Change, Fidelity
from export.acceptance.tolerance import (
    TOLERANCES,
    add_tolerance_options,
    cosine_faults,
    retrieval_fault,
    tolerance_of,
)


def _parsed(*options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_tolerance_options(parser)
    return parser.parse_args(options)


def test_defaults_are_the_projects_bars() -> None:
    """INT8: 0.5 rank-1, 0.3 mAP, mean 1 - cosine 0.003, least cosine 0.985; half precision: 0.05 mAP, 0.0005."""
    int8, fp16 = TOLERANCES["int8"], TOLERANCES["fp16"]
    assert (int8.rank1, int8.mean_ap, int8.cosine_mean, int8.cosine_least) == (0.5, 0.3, 0.997, 0.985)
    assert (fp16.mean_ap, fp16.cosine_mean) == (0.05, 0.9995)
    assert TOLERANCES["bf16"] == fp16


def test_an_option_changes_one_limit_and_leaves_the_others() -> None:
    """A limit of 0 is a limit, not a missing option."""
    found = tolerance_of(_parsed("--map-points", "0", "--least-cosine", "0.9"), "int8", queries=1400)
    assert (found.mean_ap, found.cosine_least) == (0, 0.9)
    assert (found.rank1, found.cosine_mean) == (0.5, 0.997)


@pytest.mark.parametrize(("queries", "rank1", "mean_ap"), [(1400, 0.5, 0.3), (160, 0.625, 0.3125), (80, 1.25, 0.625)])
def test_on_few_queries_one_of_them_may_find_its_person_second(queries: int, rank1: float, mean_ap: float) -> None:
    """Fewer than one query cannot be lost; a limit that is asked for is held all the same."""
    found = tolerance_of(_parsed(), "int8", queries=queries)
    assert (found.rank1, found.mean_ap, found.cosine_mean) == (rank1, mean_ap, 0.997)
    assert tolerance_of(_parsed("--rank1-points", "0.5"), "int8", queries=queries).rank1 == 0.5


@pytest.mark.parametrize("option", ["--rank1-points", "--map-points", "--mean-cosine", "--least-cosine"])
def test_a_limit_that_is_no_number_is_refused(option: str) -> None:
    """Nothing is larger than nan: every model would pass."""
    with pytest.raises(ConfigError, match=f"{option} take.* found nan"):
        tolerance_of(_parsed(option, "nan"), "int8", queries=1400)


@pytest.mark.parametrize(
    ("mean", "least", "out_of_domain", "faults"),
    [
        (0.997, 0.985, False, 0),
        (0.9969, 0.985, False, 1),
        (0.997, 0.984, False, 1),
        (0.98, 0.9, False, 2),
        (0.988, 0.94, True, 0),
        (0.987, 0.93, True, 2),
    ],
)
def test_both_cosines_are_held(mean: float, least: float, out_of_domain: bool, faults: int) -> None:
    """Out of the training data's domain the distance from 1 may be four times as large."""
    found = Fidelity(cosine_mean=mean, cosine_min=least, largest_difference=0, images=1)
    assert len(cosine_faults(found, TOLERANCES["int8"], of="", out_of_domain=out_of_domain)) == faults


@pytest.mark.parametrize(
    ("precision", "low", "queries", "proven"),
    [
        ("int8", -0.003, 1400, True),
        ("int8", -0.0031, 1400, False),
        ("int8", -0.003, 999, False),
        ("fp16", 0.0, 100_000, False),
    ],
)
def test_retrieval_decides_where_its_interval_is_narrow_enough(
    precision: str, low: float, queries: int, proven: bool
) -> None:
    """For INT8 only, and never with so few queries that a loss could have gone unseen."""
    found = tolerance_of(_parsed(), precision, queries=queries)  # type: ignore[arg-type]
    assert found.is_proven_by(Change(value=0, low=low, high=0.01), queries=queries) == proven


def test_a_cosine_that_is_asked_for_holds_whatever_is_found() -> None:
    """The user knows why."""
    found = tolerance_of(_parsed("--least-cosine", "0.99"), "int8", queries=1400)
    assert not found.is_proven_by(Change(value=0, low=0, high=0), queries=1400)


def test_a_loss_that_chance_may_have_made_asks_for_more_queries() -> None:
    """Four times as many where the interval must be half as wide; a loss beyond the limit at both ends is one."""
    by_chance = retrieval_fault("mAP", Change(value=-0.004, low=-0.01, high=0.002), allowed=0.3, queries=200)
    assert by_chance == (
        "0.40 points of mAP lost (-0.20 to 1.00) where at most 0.3 may be, which 200 queries cannot decide and about "
        "800 would"
    )
    certain = retrieval_fault("mAP", Change(value=-0.01, low=-0.016, high=-0.004), allowed=0.3, queries=200)
    assert certain == "1.00 points of mAP lost (0.40 to 1.60) where at most 0.3 may be"

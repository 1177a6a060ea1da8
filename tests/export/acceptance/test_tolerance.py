"""What may be lost."""

import argparse

import pytest

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Fidelity
from export.acceptance.tolerance import TOLERANCES, add_tolerance_options, cosine_faults, tolerance_of


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
    """Zero is a wish, not the absence of one."""
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

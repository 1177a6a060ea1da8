"""Options and small data sets change a recipe in the open."""

import logging

import numpy as np
import pytest

from edge_runtime.contract.errors import ConfigError, DataError
from train.recipes.catalog import find_recipe
from train.recipes.overrides import fit_batches, on_data_set, with_batch, with_epochs
from train.recipes.recipe import Batches

SHUFFLED = find_recipe("osnet_cuhk03:scratch")
GROUPED = find_recipe("osnet_cuhk03:demo_small")


def test_a_shorter_run_moves_every_step_in_proportion() -> None:
    """A tenth of the epochs: steps, warm-up and the start of the triplet loss come ten times sooner."""
    short = with_epochs(GROUPED, GROUPED.schedule.epochs // 2)
    assert short.losses.triplet_from_epoch == GROUPED.losses.triplet_from_epoch // 2
    assert short.schedule.warm_up_epochs == GROUPED.schedule.warm_up_epochs // 2
    assert with_epochs(SHUFFLED, 35).schedule.steps == (15, 22, 30)
    assert with_epochs(SHUFFLED, 2).schedule.steps == (1,)


def test_batches_shrink_to_a_small_data_set_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    """20 people of 3 images: 60 shuffled images, or all 20 identities four times; enough of them change nothing."""
    labels = np.repeat(np.arange(10), 3)
    with caplog.at_level(logging.WARNING):
        assert fit_batches(SHUFFLED, labels, processes=1).batches == Batches(30)
        assert fit_batches(GROUPED, labels, processes=1).batches == Batches(40, images_per_identity=4)
    assert caplog.messages[0].startswith("the data set is smaller than a batch of 64: batches shrink to 30")
    assert fit_batches(GROUPED, np.repeat(np.arange(16), 1), processes=1) == GROUPED
    assert fit_batches(SHUFFLED, labels, processes=4).batches == Batches(28)


@pytest.mark.parametrize(("recipe", "labels"), [(SHUFFLED, [0]), (GROUPED, [0, 0, 0, 0, 0])])
def test_a_data_set_without_two_of_anything_is_refused(recipe: object, labels: list[int]) -> None:
    """One image, or one identity where triplets need two."""
    with pytest.raises(DataError, match=r"takes at least .* use a larger data set"):
        fit_batches(recipe, np.array(labels), processes=1)  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_drawn_or_shared_is_refused() -> None:
    """With the option that helps."""
    with pytest.raises(ConfigError, match="--batch must be a multiple of 4, at least 8,"):
        with_batch(GROUPED, 30)
    assert with_batch(GROUPED, 32).batches.size == 32
    with pytest.raises(
        ConfigError, match="a batch of 64 cannot be shared out evenly among 3 processes; use --batch 60"
    ):
        fit_batches(GROUPED, np.repeat(np.arange(30), 4), processes=3)


def test_another_data_set_has_no_figures_of_the_paper() -> None:
    """And no random splits, which are those of the recipe's own."""
    viper = find_recipe("osnet_viper")
    other = on_data_set(viper, "folder")
    assert (other.data_set, other.splits, other.expected.rank1) == ("folder", 1, None)
    assert on_data_set(viper, "viper").splits == 10

"""Training learns, goes on exactly where it stopped, and says in a sentence why it cannot go on."""

from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch

from edge_runtime.contract.errors import DataError, TrainingError
from edge_runtime.contract.manifest import Input
from tests.support.market_folder import write_market_folder
from train.datasets.catalog import ReidData, read_market_layout
from train.machine.mixed_precision import precision_for
from train.machine.processes import Processes
from train.models.catalog import build, embedding_lengths
from train.models.checkpoint import save
from train.models.weight_files import read
from train.recipes.recipe import Augmentation, Batches, Dynamic, Expected, Losses, Optimiser, Recipe, Schedule
from train.training.batches.loader import TrainingImages
from train.training.batches.store import ImageSize, open_store
from train.training.loop import EpochReport, Trainer
from train.training.objective import Objective
from train.training.tasks import Reid

RECIPE = Recipe(
    name="small",
    architecture="osnet_x0_25",
    data_set="small",
    height_px=64,
    width_px=32,
    batches=Batches(size=12, images_per_identity=3),
    augmentation=Augmentation(flip=0.5, crop=0.5, erase=0.5, patch=0.1),
    losses=Losses(triplet_weight=0.1),
    optimiser=Optimiser("amsgrad", 0.003),
    schedule=Schedule(epochs=4, shape="cosine", warm_up_epochs=1),
    expected=Expected("test"),
)
CPU = torch.device("cpu")
ALONE = Processes(CPU)
INPUT = Input(height_px=64, width_px=32)
GREY = torch.tensor([124, 116, 104], dtype=torch.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> ReidData:
    """Six people in a colour pattern each, 36 training images."""
    return read_market_layout(write_market_folder(tmp_path_factory.mktemp("data") / "small", train=6), name="small")


def trainer(data: ReidData, recipe: Recipe = RECIPE, *, seed: int = 5) -> Trainer:
    task = Reid(data, recipe, test=data)
    store = open_store(task.train.images, ImageSize(64, 32, "bilinear-half-pixel"), device=CPU)
    images = TrainingImages(store, task.train.labels, recipe=recipe, processes=ALONE, fill=GREY)
    torch.manual_seed(seed)
    networks = [build(recipe.architecture, classes=task.classes) for _ in range(recipe.networks)]
    lengths = embedding_lengths(recipe.architecture, classes=task.classes, height_px=64, width_px=32)
    objective = Objective(recipe, classify=task.classify(), classes=task.classes, lengths=lengths, gather=ALONE.gather)
    return Trainer(
        networks,
        recipe,
        images=images,
        objective=objective,
        input_=INPUT,
        processes=ALONE,
        seed=seed,
        precision=precision_for(CPU),
    )


def test_training_learns(data: ReidData) -> None:
    """The loss falls, the learning rate follows the schedule, every image counts once per epoch."""
    reports: list[EpochReport] = []
    trainer(data, RECIPE.variant("longer", schedule=Schedule(epochs=16, shape="cosine"))).run(
        after_epoch=reports.append
    )
    assert [report.epoch for report in reports] == list(range(1, 17))
    late = reports[8:]  # an epoch has few images, so its own accuracy says little
    assert mean(report.loss for report in late) < 0.8 * reports[0].loss
    assert mean(report.accuracy for report in late) > 0.5
    assert reports[0].learning_rate > reports[-1].learning_rate > 0


WITH_EVERYTHING = RECIPE.variant(
    "everything",
    networks=2,
    losses=Losses(triplet_weight=0.1, centre_weight=5e-4, entropy_weight=0.1, mutual_weight=0.5),
    optimiser=Optimiser("sgd", 0.01, new_layers_learning_rate=0.02),
)
DYNAMIC = RECIPE.variant("dynamic", dynamic=Dynamic(), losses=Losses(triplet_weight=1.0, triplet_margin=1.4))


@pytest.mark.parametrize("recipe", [RECIPE, WITH_EVERYTHING, DYNAMIC], ids=lambda recipe: recipe.name)
def test_a_stopped_and_resumed_run_equals_one_that_was_not(recipe: Recipe, data: ReidData, tmp_path: Path) -> None:
    """To the bit, on the CPU: weights, running statistics, centres, the controller's memory and reports."""
    whole, straight_reports = trainer(data, recipe), []
    whole.run(after_epoch=straight_reports.append)

    class StoppedError(Exception):
        pass

    stopped, reports = trainer(data, recipe), []

    def stop_after_two(report: EpochReport) -> None:
        reports.append(report)
        save(stopped.state(), tmp_path / "resume.pth")
        if report.epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        stopped.run(after_epoch=stop_after_two)
    resumed = trainer(data, recipe)
    resumed.restore(read(tmp_path / "resume.pth"), source=tmp_path / "resume.pth")
    resumed.run(after_epoch=reports.append)
    assert [report.losses for report in reports] == [report.losses for report in straight_reports]
    assert [report.loss for report in reports] == [report.loss for report in straight_reports]
    for ended, expected in zip(resumed.networks, whole.networks, strict=True):
        for (key, value), wanted in zip(ended.state_dict().items(), expected.state_dict().values(), strict=True):
            assert torch.equal(value, wanted), key


def test_a_torch_without_mkldnn_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such a build does not even have the question that bfloat16 is asked with."""
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert precision_for(CPU) == torch.float32


@pytest.mark.parametrize("batches", [Batches(64), Batches(21, images_per_identity=3)])
def test_too_few_images_for_a_batch_are_refused(data: ReidData, batches: Batches) -> None:
    """36 images hold no batch of 64, and 6 people none of 7."""
    recipe = RECIPE.variant("large", batches=batches, losses=Losses())
    with pytest.raises(DataError, match=r"found too few: 36 of 6 identities"):
        trainer(data, recipe)


def test_the_state_of_another_run_is_refused(data: ReidData, tmp_path: Path) -> None:
    """Resuming with another seed would be neither run."""
    state = trainer(data, seed=1).state()
    with pytest.raises(TrainingError, match="of recipe small with seed 1"):
        trainer(data, seed=2).restore(state, source=tmp_path / "resume.pth")


def test_a_loss_that_is_no_number_ends_the_run(data: ReidData) -> None:
    """With the epoch and the learning rate in the sentence."""
    broken = RECIPE.variant("broken", optimiser=Optimiser("sgd", 1e30), schedule=Schedule(epochs=3, shape="cosine"))
    with pytest.raises(TrainingError, match=r"the loss became \w+ in epoch \d; lower the learning rate"):
        trainer(data, broken).run(after_epoch=lambda report: None)


def test_only_the_classifier_learns_at_first(data: ReidData) -> None:
    """Fine-tuning freezes the rest, running statistics included."""
    recipe = RECIPE.variant(
        "frozen", schedule=Schedule(epochs=1, shape="cosine", classifier_only_epochs=1), needs_weights=True
    )
    frozen = trainer(data, recipe)
    before = {key: value.clone() for key, value in frozen.networks[0].state_dict().items()}
    frozen.run(after_epoch=lambda report: None)
    changed = {key for key, value in frozen.networks[0].state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_dynamic_training_asks_before_every_batch_and_minimises_what_it_answers(data: ReidData) -> None:
    """The first step is an identity step; both losses are logged; an epoch is as long as one over all images."""
    dynamic = trainer(data, DYNAMIC.variant("one", schedule=Schedule(epochs=1, shape="cosine")))
    taken: list[bool] = []
    takes = dynamic._takes_triplets

    def record(*arguments: Any) -> bool:
        taken.append(takes(*arguments))
        return taken[-1]

    dynamic._takes_triplets = record  # type: ignore[method-assign]
    reports: list[EpochReport] = []
    dynamic.run(after_epoch=reports.append)
    assert len(taken) == 36 // 12
    assert taken[0] is False
    assert set(reports[0].losses) == {"classifier", "triplet"}

"""A run from data to run folder, for each task."""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.contract.errors import DataError, TrainingError
from edge_runtime.contract.manifest import read_manifest
from tests.support.market_folder import pattern, write_market_folder
from train.datasets.catalog import read_market_layout
from train.datasets.images import ImageArray
from train.datasets.samples import AttributeData, ClassificationData, LabelledImages
from train.machine.processes import Processes
from train.models.catalog import build
from train.models.checkpoint import load_network
from train.models.weight_files import read
from train.recipes.recipe import Augmentation, Batches, Evaluation, Expected, Losses, Optimiser, Recipe, Schedule
from train.training.loop import Trainer
from train.training.run_folder import RunFolder
from train.training.session import Options, Session
from train.training.tasks import Attributes, Classification, Reid, Task

ALONE = Processes(torch.device("cpu"))
RECIPE = Recipe(
    name="small",
    architecture="osnet_x0_25",
    data_set="small",
    height_px=64,
    width_px=32,
    batches=Batches(size=8),
    augmentation=Augmentation(),
    losses=Losses(),
    optimiser=Optimiser("amsgrad", 0.003),
    schedule=Schedule(epochs=2, shape="cosine"),
    expected=Expected("test"),
)
CIFAR = RECIPE.variant(
    "cifar",
    architecture="osnet_cifar_78_x0_25",
    task="classification",
    height_px=32,
    width_px=32,
    normalisation="data_set",
)
ATTRIBUTES = RECIPE.variant(
    "attributes", architecture="osnet_attributes_x0_25", task="attributes", losses=Losses(label_smoothing=0.0)
)


def images(count: int, *, first: int = 0) -> ImageArray:
    return ImageArray(np.stack([pattern(number % 4, camera=1, copy=first + number) for number in range(count)]))


def classes(count: int, *, first: int = 0) -> LabelledImages:
    return LabelledImages(images(count, first=first), np.arange(count) % 4)


def attributes(count: int, *, first: int = 0) -> LabelledImages:
    shown = np.arange(count) % 4
    return LabelledImages(images(count, first=first), np.stack([shown < 2, shown == 3], axis=1).astype(np.int64))


def session(recipe: Recipe, task: Task, folder: Path, *, evaluate_every: int | None = None) -> Session:
    run_folder = RunFolder(folder)
    run_folder.prepare(resumes=False)
    options = Options(evaluate_every=evaluate_every)
    return Session(recipe, task, folder=run_folder, processes=ALONE, options=options)


def log_of(folder: Path) -> list[dict[str, dict[str, float]]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_classification_reports_the_share_of_wrong_first_guesses(tmp_path: Path) -> None:
    """With the normalisation of its own training images, which the manifest then carries."""
    train, test = classes(32), classes(10, first=100)
    data = ClassificationData("patterns", "none", ("a", "b", "c", "d"), train, test)
    scores = session(CIFAR, Classification(data, CIFAR), tmp_path, evaluate_every=2).run()
    loaded = load_network(tmp_path / "model.pth")
    input_ = loaded.manifest.input
    pixels = train.images.read(range(32), height_px=32, width_px=32, rule="bilinear-half-pixel") / 255
    assert input_.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-5)
    assert input_.std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-5)
    shown = torch.from_numpy(test.images.read(range(10), height_px=32, width_px=32, rule="bilinear-half-pixel"))
    normal = (shown / 255 - torch.tensor(input_.mean)) / torch.tensor(input_.std)
    with torch.no_grad():
        guesses = loaded.network.classifier(loaded.network(normal.float().permute(0, 3, 1, 2))).argmax(dim=1)  # type: ignore[operator]
    assert scores.figures == {"top1_error": pytest.approx(float((guesses.numpy() != test.labels).mean()))}
    assert ["scores" in row for row in log_of(tmp_path)] == [False, True]
    assert json.loads((tmp_path / "scores.json").read_text())["scores"]["first"] == scores.figures


def test_attributes_keep_the_epoch_that_is_best_on_the_validation_images(tmp_path: Path) -> None:
    """Not the last one, nor the best on the test images; the log has each epoch's figure, scored on the test or not."""
    data = AttributeData("patterns", "none", ("low", "last"), attributes(32), attributes(8, first=50), attributes(8))
    worse = ATTRIBUTES.variant("attributes", schedule=Schedule(epochs=3, shape="cosine"))
    scores = session(worse, Attributes(data), tmp_path, evaluate_every=2).run()
    validated = [row["scores"]["validation_mean_accuracy"] for row in log_of(tmp_path)]
    assert ["mean_accuracy" in row["scores"] for row in log_of(tmp_path)] == [False, True, False]
    best = read(tmp_path / "best.pth")
    assert best["epoch"] == 1 + validated.index(max(validated))
    kept = load_network(tmp_path / "model.pth").network.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in best["networks"][0].items())
    assert set(scores.figures) == {"mean_accuracy", "accuracy", "precision", "recall", "f1"}


def test_two_networks_are_scored_alone_and_together(tmp_path: Path) -> None:
    """Each with its own manifest; the recipe says whose scores are reported."""
    data = read_market_layout(write_market_folder(tmp_path / "people", train=4, test=4), name="people")
    recipe = RECIPE.variant(
        "two",
        networks=2,
        losses=Losses(mutual_weight=1.0),
        evaluation=Evaluation(networks="ensemble", flip=True),
        schedule=Schedule(epochs=1, shape="cosine"),
    )
    scores = session(recipe, Reid(data, recipe, test=data), tmp_path / "run").run()
    assert scores.evidence is not None
    assert "flipped images added" in scores.evidence.protocol
    assert "2 networks side by side" in scores.evidence.protocol
    manifests = [read_manifest(tmp_path / "run" / name) for name in ("model.pth", "model_2.pth")]
    assert manifests[0].weights_sha256 != manifests[1].weights_sha256
    written = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert (written["reported"], set(written["scores"])) == ("ensemble", {"first", "second", "ensemble"})


def test_a_network_that_sees_nothing_leaves_a_checkpoint_without_scores(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever wants to know why it died can open it; its manifest holds no evidence, and scores are refused."""
    data = read_market_layout(write_market_folder(tmp_path / "people", train=2, test=2), name="people")
    dying = RECIPE.variant("dying", optimiser=Optimiser("sgd", 0.065), schedule=Schedule(epochs=1, shape="cosine"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("train.training.trainer_builder.build", _blind)
        running = session(dying, Reid(data, dying, test=data), tmp_path / "run", evaluate_every=1)
        with pytest.raises(TrainingError, match=r"model\.pth is written, but cannot be scored: .* are all zeros"):
            running.run()
    assert "epoch 1 cannot be scored: " in caplog.text
    assert load_network(tmp_path / "run" / "model.pth").manifest.evidence is None
    assert (tmp_path / "run" / "curves.png").exists()
    assert not (tmp_path / "run" / "scores.json").exists()


def _blind(name: str, *, classes: int) -> nn.Module:
    """A network whose last ReLU lets nothing through, and never will."""
    network = build(name, classes=classes)
    norm = cast(Any, network).fc[1]
    nn.init.zeros_(norm.weight)
    nn.init.constant_(norm.bias, -1.0)
    return network


def test_multiple_queries_that_a_data_set_lacks_are_said_before_training(tmp_path: Path) -> None:
    """A run that could not be scored at its end is refused at its start."""
    data = read_market_layout(write_market_folder(tmp_path / "people"), name="people")
    recipe = RECIPE.variant("many", evaluation=Evaluation(queries="average"))
    with pytest.raises(DataError, match="people has no images for them"):
        Reid(data, recipe, test=data).check_test_images()


def test_a_height_that_cannot_be_exported_is_said_before_training(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Four stripes need four equal parts of the maps' rows; training goes on, for scores can be had."""
    data = read_market_layout(write_market_folder(tmp_path / "people", train=2, test=2), name="people")
    recipe = RECIPE.variant(
        "uneven", architecture="plr_osnet_x0_25", height_px=96, schedule=Schedule(epochs=1, shape="cosine")
    )
    session(recipe, Reid(data, recipe, test=data), tmp_path / "run").run()
    assert "cannot be exported to a device: at a height of 96 pixels its maps have 6 rows" in caplog.messages[0]
    assert (tmp_path / "run" / "scores.json").exists()


def test_full_memory_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the batch size, and what to do."""

    def fail(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried")

    data = read_market_layout(write_market_folder(tmp_path / "people", train=2, test=2), name="people")
    monkeypatch.setattr(Trainer, "_step", fail)
    with pytest.raises(TrainingError, match=r"memory of cpu is full at batch size 8; use a smaller batch \(--batch N"):
        session(RECIPE, Reid(data, RECIPE, test=data), tmp_path / "run").run()

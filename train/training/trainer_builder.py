"""From a recipe and a task to a trainer: pixels, networks, losses and batches."""

import logging
from pathlib import Path

import torch

from edge_runtime.contract.manifest import Input, ResizeRule
from train.machine.processes import Processes
from train.models.catalog import build, embedding_lengths
from train.models.checkpoint import start_from
from train.models.stripes import find_stripe_fault
from train.models.weight_files import read
from train.recipes.recipe import Recipe
from train.training.batches.augment import erased_colour
from train.training.batches.loader import TrainingImages
from train.training.batches.store import ImageSize, PixelStore, open_store, pixel_statistics
from train.training.batches.taught_images import TaughtImages
from train.training.distillation_task import DistilledReid
from train.training.loop import Trainer
from train.training.objective import Objective
from train.training.tasks import Task

logger = logging.getLogger(__name__)

_RULES: dict[str, ResizeRule] = {"bilinear": "bilinear-half-pixel", "bicubic": "bicubic-half-pixel"}


def build_trainer(  # noqa: PLR0913 - a run consists of these
    recipe: Recipe,
    task: Task,
    *,
    processes: Processes,
    seed: int,
    precision: torch.dtype,
    weights: Path | None,
    resume_path: Path | None,
    compiles: bool,
) -> Trainer:
    """Build the trainer of a run. weights: checkpoint to start from. resume_path: state of a stopped run to continue.

    Raises:
        CheckpointError: weights or state cannot be read, or belong to another network.
        DataError: an image cannot be decoded, or there are too few for a batch.
        TrainingError: the state is that of another run.
    """
    size = ImageSize(recipe.height_px, recipe.width_px, _RULES[recipe.resize])
    store = open_store(task.train.images, size, device=processes.device, processes=processes.count)
    input_ = _describe_input(recipe, store)
    torch.manual_seed(seed)
    networks = [build(recipe.architecture, classes=task.classes) for _ in range(recipe.networks)]
    if weights is not None and resume_path is None:
        for network in networks:
            start_from(network, weights, architecture=recipe.architecture)
    objective = _build_objective(recipe, task, input_=input_, processes=processes)
    fill = erased_colour(recipe.augmentation, mean=input_.mean, std=input_.std)
    images = (TaughtImages if recipe.distillation else TrainingImages)(
        store, task.train.labels, recipe=recipe, processes=processes, fill=fill
    )
    trainer = Trainer(
        networks,
        recipe,
        images=images,
        objective=objective,
        input_=input_,
        processes=processes,
        seed=seed,
        precision=precision,
        compiles=compiles,
    )
    _warn_of_uneven_stripes(trainer)
    if resume_path is not None:
        trainer.restore(read(resume_path), source=resume_path)
    return trainer


def _describe_input(recipe: Recipe, store: PixelStore) -> Input:
    """The networks' input, as their manifests state it."""
    input_ = Input(height_px=recipe.height_px, width_px=recipe.width_px, resize=_RULES[recipe.resize])
    if recipe.normalisation == "imagenet":
        return input_
    mean, std = pixel_statistics(store)
    return input_.model_copy(update={"mean": mean, "std": std})


def _build_objective(recipe: Recipe, task: Task, *, input_: Input, processes: Processes) -> Objective:
    if isinstance(task, DistilledReid):
        return task.build_objective(recipe, gather=processes.gather)
    lengths: tuple[int, ...] = ()
    if recipe.losses.centre_weight:
        lengths = embedding_lengths(
            recipe.architecture, classes=task.classes, height_px=input_.height_px, width_px=input_.width_px
        )
    return Objective(recipe, classify=task.classify(), classes=task.classes, lengths=lengths, gather=processes.gather)


def _warn_of_uneven_stripes(trainer: Trainer) -> None:
    """Warn before training, not at export, that the network can be scored but not exported at this input height."""
    network, input_ = trainer.networks[0].eval(), trainer.input_
    fault = find_stripe_fault(network, height_px=input_.height_px, width_px=input_.width_px)
    if fault is not None:
        logger.warning("this network cannot be exported to a device: %s", fault)

"""One run from start to end: recipe and data to networks, through the training loop, into the run folder."""

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

from edge_runtime.contract import manifest as contract
from edge_runtime.contract.errors import CheckpointError, ConfigError, DataError, TrainingError
from train.machine.memory import explain_full_memory
from train.machine.mixed_precision import precision_for
from train.machine.processes import Processes
from train.models import checkpoint
from train.models.catalog import build
from train.models.stripes import fault_of_stripes
from train.models.training_output import TrainingOutput
from train.models.weights import load_weights
from train.recipes.overrides import fitted_to
from train.recipes.recipe import Recipe
from train.training.batches.augment import erased_colour
from train.training.batches.loader import TrainingImages
from train.training.batches.store import PixelStore, Size, open_store, pixel_statistics
from train.training.loop import EpochReport, Trainer
from train.training.objective import Objective
from train.training.run_folder import EventLog, RunFolder
from train.training.tasks import Networks, Scores, Task

logger = logging.getLogger(__name__)

_ORDINALS = ("first", "second", "third", "fourth")
_RULES: dict[str, contract.ResizeRule] = {"bilinear": "bilinear-half-pixel", "bicubic": "bicubic-half-pixel"}


@dataclass(frozen=True)
class Options:
    """What a user may choose beside the recipe. evaluate_every: epochs between two looks at the test scores."""

    seed: int = 0
    weights: Path | None = None
    resumes: bool = False
    compiles: bool = False
    evaluate_every: int | None = None


class Session:
    """Trains and scores the networks of one recipe for one task."""

    def __init__(
        self, recipe: Recipe, task: Task, folder: RunFolder, *, processes: Processes, options: Options
    ) -> None:
        self._recipe = fitted_to(recipe, task.train.labels, processes=processes.count)
        self._task = task
        self._folder = folder
        self._processes = processes
        self._options = options

    def check_resumed(self, folders: Sequence[RunFolder]) -> None:
        """Refuse to go on with a series of runs in another way than it was started.

        folders: of all its runs; the first has begun.

        Raises:
            ConfigError: recipe, weights or number of processes differ, or a run that has not begun lacks its weights.
        """
        weights = self._options.weights
        for folder in folders:
            if folder.is_begun:
                folder.prepare(resumes=True)
                folder.check_resumed(self._recipe, weights=weights, processes=self._processes)
            elif weights is None and folders[0].was_given_weights():
                raise ConfigError(
                    f"{folder.path} is still to begin, from weights as {folders[0].path} did; "
                    "add the --weights FILE that was given there"
                )

    def run(self) -> Scores:
        """Train to the end, and write networks, manifests and scores. Returns the scores the recipe asks for."""
        folder, options = self._folder, self._options
        with explain_full_memory(self._processes.device, batch_size=self._recipe.batches.size):
            store = self._open_store()
            input_ = _input(self._recipe, store)
            trainer = self._trainer(store, input_)
            _warn_of_stripes(trainer.networks[0], input_)
        if options.resumes:
            trainer.resume(folder.resume_path)
        elif self._processes.is_first:
            self._write_settings()
        try:
            self._follow(trainer, input_)
            return self._finish(trainer.networks, input_)
        except KeyboardInterrupt as stop:
            raise type(stop)(self._how_to_go_on(trainer)) from stop

    def _how_to_go_on(self, trainer: Trainer) -> str:
        finished, epochs = trainer.finished_epochs, self._recipe.schedule.epochs
        place = f"in epoch {finished + 1}" if finished < epochs else "after the last epoch"
        advice = "go on with --resume" if self._folder.resume_path.exists() else "nothing was saved yet"
        return f"stopped by the user {place}; {advice}"

    def _open_store(self) -> PixelStore:
        recipe = self._recipe
        size = Size(recipe.height_px, recipe.width_px, _RULES[recipe.resize])
        return open_store(self._task.train.images, size, device=self._processes.device, processes=self._processes.count)

    def _trainer(self, store: PixelStore, input_: contract.Input) -> Trainer:
        recipe, task, processes, options = self._recipe, self._task, self._processes, self._options
        torch.manual_seed(options.seed)
        networks = [build(recipe.architecture, classes=task.classes) for _ in range(recipe.networks)]
        if options.weights is not None and not options.resumes:
            for network in networks:
                self._start(network, options.weights)
        lengths = embedding_lengths(recipe.architecture, task.classes, input_) if recipe.losses.centre_weight else ()
        objective = Objective(
            recipe, classify=task.classify(), classes=task.classes, lengths=lengths, gather=processes.gather
        )
        fill = erased_colour(recipe.augmentation, mean=input_.mean, std=input_.std)
        images = TrainingImages(store, task.train.labels, recipe, processes=processes, fill=fill)
        return Trainer(
            networks,
            recipe,
            images,
            objective,
            input_=input_,
            processes=processes,
            seed=options.seed,
            compiles=options.compiles,
        )

    def _start(self, network: nn.Module, weights: Path) -> None:
        """Fill a network; where that fails and a manifest tells of another architecture, say that first."""
        try:
            checkpoint.start_from(network, weights)
        except CheckpointError as error:
            if not contract.manifest_path(weights).exists():
                raise
            held, wanted = contract.read_manifest(weights).architecture, self._recipe.architecture
            if held == wanted:
                raise
            raise CheckpointError(f"{weights} holds {held}, the recipe trains {wanted}; {error}") from error

    def _write_settings(self) -> None:
        options, processes = self._options, self._processes
        self._folder.write_settings(
            self._recipe,
            seed=options.seed,
            weights=options.weights,
            processes=processes,
            precision=precision_for(processes.device),
        )

    def _follow(self, trainer: Trainer, input_: contract.Input) -> None:
        """Train, writing down every epoch."""
        recipe, folder = self._recipe, self._folder
        if not self._processes.is_first:

            def look(report: EpochReport) -> None:
                self._look(trainer, report.epoch, input_)

            trainer.run(after_epoch=look)
            return
        folder.trim_log(finished_epochs=trainer.finished_epochs)
        device = self._processes.device
        logger.info("%s trains on %s (%s) into %s", recipe.name, device, precision_for(device), folder.path)
        events = EventLog(folder.events_path, finished_epochs=trainer.finished_epochs)

        def after_epoch(report: EpochReport) -> None:
            scores = self._look(trainer, report.epoch, input_)
            row = dataclasses.asdict(report) | ({"scores": scores} if scores else {})
            folder.append(row)
            events.write(row)
            trainer.save(folder.resume_path)
            _log(report, scores)

        trainer.run(after_epoch=after_epoch)
        events.close()
        folder.draw_curves()

    def _look(self, trainer: Trainer, epoch: int, input_: contract.Input) -> dict[str, float]:
        """The scores in the middle of training, where they are wanted; keeps the best epoch by validation images."""
        scored = self._scored(trainer.networks)
        validated = self._task.validate(scored, input_, processes=self._processes)
        if validated and self._processes.is_first:
            self._keep_if_best(trainer.networks, next(iter(validated.values())), epoch=epoch)
        figures = {f"validation_{name}": value for name, value in validated.items()}
        every = self._options.evaluate_every
        if every is None or epoch % every:
            return figures
        try:
            return figures | self._task.score(scored, input_, processes=self._processes).figures
        except DataError as error:  # a later epoch may do better; what is left at the end is refused there
            logger.warning("epoch %d cannot be scored: %s", epoch, error)
            return figures

    def _keep_if_best(self, networks: Networks, score: float, *, epoch: int) -> None:
        path = self._folder.best_path
        best = checkpoint.read(path) if path.exists() else {"score": -1.0, "epoch": epoch}
        # The same epoch comes again where a run was stopped after it was kept and before it was saved.
        if score > best["score"] or epoch == best["epoch"]:
            states = [network.state_dict() for network in networks]
            checkpoint.save({"score": score, "epoch": epoch, "networks": states}, path)

    def _load_best(self, networks: Networks) -> None:
        """Go back to the best epoch, where validation images chose one."""
        self._processes.wait()
        if not self._folder.best_path.exists():
            return
        best = checkpoint.read(self._folder.best_path)
        for network, state in zip(networks, best["networks"], strict=True):
            load_weights(network, state, source=self._folder.best_path)
        logger.info("epoch %d is the best on the validation images", best["epoch"])

    def _finish(self, networks: Networks, input_: contract.Input) -> Scores:
        """Write and score each network, and all together.

        Raises:
            TrainingError: they cannot be scored; checkpoints and manifests are there nevertheless.
        """
        self._load_best(networks)
        if self._processes.is_first:
            for number, network in enumerate(networks):
                _write_weights(network, self._folder.model_path(number))
        try:
            scored = self._score(networks, input_)
        except DataError as error:
            if self._processes.is_first:
                self._write_manifests(networks, {}, input_)
            raise TrainingError(
                f"training has ended and {self._folder.model_path(0)} is written, but cannot be scored: {error}; "
                "look at curves.png, and lower the learning rate or let triplets begin later"
            ) from error
        reported = self._recipe.evaluation.networks
        if self._processes.is_first:
            self._write_manifests(networks, scored, input_)
            figures = {name: scores.figures for name, scores in scored.items()}
            self._folder.write_scores({"recipe": self._recipe.name, "reported": reported, "scores": figures})
        return scored[reported]

    def _score(self, networks: Networks, input_: contract.Input) -> dict[str, Scores]:
        scored = {
            _ORDINALS[number]: self._task.score([network], input_, processes=self._processes)
            for number, network in enumerate(networks)
        }
        if len(networks) > 1:
            scored["ensemble"] = self._task.score(networks, input_, processes=self._processes)
        return scored

    def _write_manifests(self, networks: Networks, scored: dict[str, Scores], input_: contract.Input) -> None:
        """One beside each checkpoint; without evidence where nothing could be scored."""
        for number, network in enumerate(networks):
            self._write_manifest(network, number, scored.get(_ORDINALS[number], Scores()), input_)

    def _write_manifest(self, network: nn.Module, number: int, scores: Scores, input_: contract.Input) -> None:
        path, task = self._folder.model_path(number), self._task
        manifest = checkpoint.checkpoint_manifest(
            path,
            network,
            architecture=self._recipe.architecture,
            data_set=task.name,
            recipe=self._recipe.name,
            input_=input_,
            terms=contract.Terms(weights=f"trained on {task.name}: {task.terms}", training_data=task.terms),
        )
        contract.write_manifest(manifest.model_copy(update={"evidence": scores.evidence}), path)

    def _scored(self, networks: Networks) -> Networks:
        """The networks that the recipe scores as one."""
        wish = self._recipe.evaluation.networks
        return networks if wish == "ensemble" else [networks[_ORDINALS.index(wish)]]


def embedding_lengths(architecture: str, classes: int, input_: contract.Input) -> tuple[int, ...]:
    """How long the embeddings are that the metric losses see; asked of a copy without numbers."""
    with torch.device("meta"):
        network = build(architecture, classes=classes).train()
        output = cast(TrainingOutput, network(torch.empty(2, 3, input_.height_px, input_.width_px)))
    return tuple(rows.shape[1] for rows in output.embeddings)


def _input(recipe: Recipe, store: PixelStore) -> contract.Input:
    """What the networks take, as the manifest says it."""
    input_ = contract.Input(height_px=recipe.height_px, width_px=recipe.width_px, resize=_RULES[recipe.resize])
    if recipe.normalisation == "imagenet":
        return input_
    mean, std = pixel_statistics(store)
    return input_.model_copy(update={"mean": mean, "std": std})


def _warn_of_stripes(network: nn.Module, input_: contract.Input) -> None:
    """Say before an hour of training, not after it, that the network can be scored but never deployed."""
    fault = fault_of_stripes(network.eval(), height_px=input_.height_px, width_px=input_.width_px)
    if fault is not None:
        logger.warning("this network cannot be exported to a device: %s", fault)


def _write_weights(network: nn.Module, path: Path) -> None:
    state = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    checkpoint.save({"state_dict": state}, path)


def _log(report: EpochReport, scores: dict[str, float]) -> None:
    logger.info(
        "epoch %d  loss %.3f  accuracy %.3f  rate %.2g  %.0f images/s%s",
        report.epoch,
        report.loss,
        report.accuracy,
        report.learning_rate,
        report.images_per_s,
        "".join(f"  {name} {value:.3f}" for name, value in scores.items()),
    )

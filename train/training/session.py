"""One run from start to end: build a trainer, train, record every epoch, and write the results into the run folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.contract.errors import ConfigError
from train.machine.memory import explain_full_memory
from train.machine.mixed_precision import choose_precision
from train.machine.processes import Processes
from train.recipes.overrides import fit_batches
from train.recipes.recipe import Recipe
from train.training.epoch_recorder import EpochRecorder
from train.training.loop import Trainer
from train.training.results import write_results
from train.training.run_folder import RunFolder
from train.training.tasks import Task, TaskScores
from train.training.trainer_builder import build_trainer


@dataclass(frozen=True)
class Options:
    """What a user may choose beside the recipe. evaluate_every: epochs from one scoring on the test images to the next;
    None scores only after the last. precision: see `choose_precision`.
    """

    seed: int = 0
    weights: Path | None = None
    resumes: bool = False
    compiles: bool = False
    evaluate_every: int | None = None
    precision: str = "auto"


class Session:
    """Trains and scores the networks of one recipe for one task."""

    def __init__(
        self, recipe: Recipe, task: Task, *, folder: RunFolder, processes: Processes, options: Options
    ) -> None:
        self._recipe = fit_batches(recipe, task.train.labels, processes=processes.count)
        self._task = task
        self._folder = folder
        self._processes = processes
        self._options = options
        self._precision = choose_precision(processes.device, options.precision)

    def check_resumed(self, folders: Sequence[RunFolder]) -> None:
        """Check that a series of runs continues with the options that it was started with.

        folders: of all its runs; the first has begun.

        Raises:
            ConfigError: recipe, weights or number of processes differ, or a run that has not begun lacks its weights.
        """
        weights = self._options.weights
        for folder in folders:
            if folder.is_begun:
                folder.prepare(resumes=True)
                folder.check_resumed(
                    self._recipe, weights=weights, processes=self._processes, trained_on=self._task.trained_on
                )
                folder.check_precision(self._precision)
            elif weights is None and folders[0].was_given_weights():
                raise ConfigError(
                    f"the run in {folder.path} has not begun, and {folders[0].path} was started from weights; "
                    "add the --weights FILE that was given there"
                )

    def run(self) -> TaskScores:
        """Train to the end, and write networks, manifests and scores. Returns the scores the recipe asks for."""
        with explain_full_memory(self._processes.device, batch_size=self._recipe.batches.size):
            trainer = self._build_trainer()
        if self._processes.is_first and not self._options.resumes:
            self._folder.write_settings(
                self._recipe,
                seed=self._options.seed,
                weights=self._options.weights,
                processes=self._processes,
                trained_on=self._task.trained_on,
                precision=self._precision,
            )
        try:
            return self._train(trainer)
        except KeyboardInterrupt as stop:
            raise type(stop)(self._explain_stop(trainer)) from stop

    def _build_trainer(self) -> Trainer:
        options = self._options
        return build_trainer(
            self._recipe,
            self._task,
            processes=self._processes,
            seed=options.seed,
            precision=self._precision,
            weights=options.weights,
            resume_path=self._folder.resume_path if options.resumes else None,
            compiles=options.compiles,
        )

    def _train(self, trainer: Trainer) -> TaskScores:
        recorder = EpochRecorder(
            trainer,
            self._task,
            folder=self._folder,
            recipe=self._recipe,
            processes=self._processes,
            evaluate_every=self._options.evaluate_every,
        )
        with explain_full_memory(self._processes.device, batch_size=self._recipe.batches.size):
            trainer.run(after_epoch=recorder.record)
        recorder.close()
        recorder.load_best()
        return write_results(trainer, self._task, folder=self._folder, recipe=self._recipe, processes=self._processes)

    def _explain_stop(self, trainer: Trainer) -> str:
        finished, epochs = trainer.finished_epochs, self._recipe.schedule.epochs
        place = f"in epoch {finished + 1}" if finished < epochs else "after the last epoch"
        advice = "continue with --resume" if self._folder.resume_path.exists() else "nothing was saved yet"
        return f"stopped by the user {place}; {advice}"

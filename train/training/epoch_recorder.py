"""What happens after every epoch: score, keep the best networks, write log and state."""

import dataclasses
import logging

from edge_runtime.contract.errors import DataError
from train.machine.processes import Processes
from train.models.checkpoint import save
from train.models.weight_files import read
from train.models.weights import load_weights
from train.recipes.recipe import Recipe
from train.training.loop import EpochReport, Trainer
from train.training.results import choose_scored
from train.training.run_folder import EventLog, RunFolder
from train.training.tasks import Task

logger = logging.getLogger(__name__)


class EpochRecorder:
    """Records the epochs of one run. All processes score together; only the first one writes.

    evaluate_every: epochs from one scoring on the test images to the next; None never scores on them.
    """

    def __init__(
        self,
        trainer: Trainer,
        task: Task,
        *,
        folder: RunFolder,
        recipe: Recipe,
        processes: Processes,
        evaluate_every: int | None,
    ) -> None:
        self._trainer = trainer
        self._task = task
        self._folder = folder
        self._recipe = recipe
        self._processes = processes
        self._evaluate_every = evaluate_every
        self._events = self._start_logs() if processes.is_first else None

    def record(self, report: EpochReport) -> None:
        """Score after an epoch, write its figures down, and save the state from which `--resume` continues."""
        scores = self._score(report.epoch)
        if self._events is None:
            return
        row = dataclasses.asdict(report) | ({"scores": scores} if scores else {})
        self._folder.append(row)
        self._events.write(row)
        save(self._trainer.state(), self._folder.resume_path)
        _log(report, scores)

    def close(self) -> None:
        """Finish the logs and draw the curves."""
        if self._events is not None:
            self._events.close()
            self._folder.draw_curves()

    def load_best(self) -> None:
        """Go back to the networks of the best epoch, where validation images chose one."""
        self._processes.wait()
        path = self._folder.best_path
        if not path.exists():
            return
        best = read(path)
        for network, state in zip(self._trainer.networks, best["networks"], strict=True):
            load_weights(network, state, source=path)
        logger.info("epoch %d is the best on the validation images", best["epoch"])

    def _start_logs(self) -> EventLog:
        finished, device = self._trainer.finished_epochs, self._processes.device
        self._folder.trim_log(finished_epochs=finished)
        logger.info(
            "%s trains on %s in %s (choose with --precision; the papers used float32) into %s",
            self._recipe.name,
            device,
            str(self._trainer.precision).removeprefix("torch."),
            self._folder.path,
        )
        return EventLog(self._folder.events_path, finished_epochs=finished)

    def _score(self, epoch: int) -> dict[str, float]:
        """Figures on the validation images, which choose the best epoch, and on the test images if it is their turn."""
        networks = choose_scored(self._trainer.networks, self._recipe)
        validated = self._task.validate(networks, self._trainer.input_, processes=self._processes)
        if validated and self._processes.is_first:
            self._keep_if_best(next(iter(validated.values())), epoch=epoch)
        figures = {f"validation_{name}": value for name, value in validated.items()}
        if self._evaluate_every is None or epoch % self._evaluate_every:
            return figures
        try:
            return figures | self._task.score(networks, self._trainer.input_, processes=self._processes).figures
        except DataError as error:  # a later epoch may do better; after the last one this ends the run
            logger.warning("epoch %d cannot be scored: %s", epoch, error)
            return figures

    def _keep_if_best(self, score: float, *, epoch: int) -> None:
        path = self._folder.best_path
        best = read(path) if path.exists() else {"score": -1.0, "epoch": epoch}
        # An epoch comes a second time if the run was stopped after its best networks were kept, but before its state.
        if score > best["score"] or epoch == best["epoch"]:
            states = [network.state_dict() for network in self._trainer.networks]
            save({"score": score, "epoch": epoch, "networks": states}, path)


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

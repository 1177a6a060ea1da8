"""The folder of a run: settings, log, curves, the state to resume from, checkpoints and scores."""

import json
import logging
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import TrainedOn, hash_file
from edge_runtime.contract.provenance import read_commit, read_cpu_name
from edge_runtime.contract.script import replace_file
from train.machine.processes import Processes
from train.pictures.curves import draw_curves
from train.recipes.recipe import Recipe

logger = logging.getLogger(__name__)

LogRow = Mapping[str, Any]
_OPTIONS = {"recipe.schedule.epochs": "--epochs", "recipe.batches.size": "--batch"}


class RunFolder:
    """One run on disk. Files are replaced as a whole, so that a stopped process leaves none half written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.resume_path = path / "resume.pth"
        self.best_path = path / "best.pth"
        self.events_path = path / "events"
        self._log = path / "log.jsonl"
        self._settings = path / "settings.json"
        self._scores = path / "scores.json"

    @property
    def is_begun(self) -> bool:
        """Whether it holds a run that can be resumed."""
        return self.resume_path.exists()

    def model_path(self, number: int) -> Path:
        """Path of the checkpoint of network `number`, counted from 0."""
        return self.path / ("model.pth" if number == 0 else f"model_{number + 1}.pth")

    def prepare(self, *, resumes: bool) -> None:
        """Make the folder, or check that it holds a run to resume.

        Raises:
            ConfigError: it already holds a run, or holds none to resume, or cannot be made.
        """
        missing = [path for path in (self.resume_path, self._settings) if not path.exists()]
        if self.is_begun and not resumes:
            raise ConfigError(
                f"{self.path} holds a run already; add --resume to continue it, or choose another --output"
            )
        if resumes and missing:
            raise ConfigError(f"there is nothing to resume: expected {missing[0]}; start the run without --resume")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {self.path}: {error.strerror}; give another --output") from error

    def check_resumed(
        self, recipe: Recipe, *, weights: Path | None, processes: Processes, trained_on: TrainedOn | None
    ) -> None:
        """Check that a run is resumed with the options that it was started with.

        Raises:
            ConfigError: recipe, weights, number of processes or training people differ; the first difference is named.
        """
        started = json.loads(self._settings.read_text())
        if trained_on is not None and started.get("trained_on", found := trained_on.model_dump()) != found:
            raise ConfigError(
                f"the run in {self.path} was started with other training people of {trained_on.data_set} than it has "
                "now; were some added or removed? give the data as they were, or start again with another --output"
            )
        asked = json.loads(json.dumps({"recipe": asdict(recipe), "processes": processes.count}))
        differences = list(_differences({key: started[key] for key in asked}, asked))
        # An option changes several settings; report the one that is named after it first.
        for name, was, now in sorted(differences, key=lambda difference: difference[0] not in _OPTIONS):
            raise ConfigError(
                f"the run in {self.path} was started with {_OPTIONS.get(name, name)} {was}, not {now}; "
                "continue with the same options, or start again with another --output"
            )
        if weights is not None and hash_file(weights) != started["weights"]:
            advice = "leave --weights out" if started["weights"] is None else "give the file that it was started from"
            raise ConfigError(f"the run in {self.path} was not started from {weights}; {advice}")

    def check_precision(self, precision: torch.dtype) -> None:
        """Check that a run is resumed in the precision that it was started in.

        Raises:
            ConfigError: it is another.
        """
        started = json.loads(self._settings.read_text())["precision"]
        if started != _name(precision):
            raise ConfigError(
                f"the run in {self.path} was started in {started}, not {_name(precision)}; add --precision {started}"
            )

    def was_given_weights(self) -> bool:
        """Whether the run in it was started from a checkpoint."""
        return json.loads(self._settings.read_text())["weights"] is not None

    def write_settings(
        self,
        recipe: Recipe,
        *,
        seed: int,
        weights: Path | None,
        processes: Processes,
        trained_on: TrainedOn | None,
        precision: torch.dtype,
    ) -> None:
        """Write down everything that the result depends on."""
        device = processes.device
        settings = {
            "recipe": asdict(recipe),
            "seed": seed,
            "weights": None if weights is None else hash_file(weights),
            "commit": read_commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else read_cpu_name(),
            "processes": processes.count,
            **({} if trained_on is None else {"trained_on": trained_on.model_dump()}),
            "precision": _name(precision),
            "cpu_threads": torch.get_num_threads(),
        }
        replace_file(self._settings, json.dumps(settings, indent=2) + "\n")

    def trim_log(self, *, finished_epochs: int) -> None:
        """Keep one line per finished epoch, without what a stopped process left of an unsaved one."""
        lines = self._log.read_text().splitlines(keepends=True) if self._log.exists() else []
        replace_file(self._log, "".join(lines[:finished_epochs]))

    def append(self, row: LogRow) -> None:
        """Add a line to the log."""
        with self._log.open("a") as file:
            file.write(json.dumps(row) + "\n")

    def draw_curves(self) -> None:
        """Draw the log."""
        draw_curves(self._log, self.path / "curves.png")

    def write_scores(self, scores: Mapping[str, Any]) -> None:
        """Write the scores of the finished run; a run that has them is finished."""
        replace_file(self._scores, json.dumps(scores, indent=2) + "\n")

    def read_scores(self) -> dict[str, Any] | None:
        """The scores of a finished run."""
        found: dict[str, Any] | None = json.loads(self._scores.read_text()) if self._scores.exists() else None
        return found


def _name(precision: torch.dtype) -> str:
    return str(precision).removeprefix("torch.")


def _differences(was: Any, now: Any, *, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two settings differ: dotted name, first and second value."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            yield from _differences(was.get(key), now.get(key), name=f"{name}.{key}" if name else key)
    elif was != now:
        yield name, was, now


class EventLog:
    """Writes TensorBoard's event files into a folder; without the package tensorboard it does nothing.

    finished_epochs: events that a stopped run wrote of later epochs are purged.
    """

    def __init__(self, folder: Path, *, finished_epochs: int) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("no TensorBoard files: the package tensorboard is not installed")
            return
        self._writer = SummaryWriter(str(folder), purge_step=finished_epochs + 1)

    def write(self, row: Mapping[str, Any]) -> None:
        """Add the numbers of one line of the log, nested ones included."""
        if self._writer is None:
            return
        for name, value in _numbers(row).items():
            self._writer.add_scalar(name, value, row["epoch"])
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            numbers |= {f"{name}/{inner}": number for inner, number in value.items()}
        else:
            numbers[name] = value
    return numbers

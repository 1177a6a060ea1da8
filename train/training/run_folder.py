"""The folder that a run leaves: settings, log, curves, the state to go on from, checkpoints and scores."""

import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from edge_runtime.contract.atomic import replace_file
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import file_sha256
from edge_runtime.contract.provenance import commit, cpu_name
from train.machine.processes import Processes
from train.recipe import Recipe
from train.training.curves import draw_curves

Row = Mapping[str, Any]
_OPTIONS = {"recipe.schedule.epochs": "--epochs", "recipe.batches.size": "--batch"}


class RunFolder:
    """One run on disk. Everything in it is replaced as a whole, so a stop leaves no half-written file."""

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
        """Whether it holds a run that can go on."""
        return self.resume_path.exists()

    def model_path(self, number: int) -> Path:
        """Where network `number`, counted from 0, goes when it is finished."""
        return self.path / ("model.pth" if number == 0 else f"model_{number + 1}.pth")

    def prepare(self, *, resumes: bool) -> None:
        """Make the folder, or check that there is something to go on with.

        Raises:
            ConfigError: it holds another run, or none to go on with, or it cannot be made.
        """
        missing = [path for path in (self.resume_path, self._settings) if not path.exists()]
        if self.is_begun and not resumes:
            raise ConfigError(
                f"{self.path} holds a run already; add --resume to go on with it, or choose another --output"
            )
        if resumes and missing:
            raise ConfigError(f"there is nothing to resume: expected {missing[0]}")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {self.path}: {error.strerror}; give another --output") from error

    def check_resumed(self, recipe: Recipe, *, weights: Path | None, processes: Processes) -> None:
        """Refuse to go on in another way than the run was started.

        Raises:
            ConfigError: recipe, weights or number of processes differ; the first difference is named.
        """
        started = json.loads(self._settings.read_text())
        asked = json.loads(json.dumps({"recipe": asdict(recipe), "processes": processes.count}))
        differences = list(_differences({key: started[key] for key in asked}, asked))
        # An option changes several settings; the one that bears its name says most.
        for name, was, now in sorted(differences, key=lambda difference: difference[0] not in _OPTIONS):
            raise ConfigError(
                f"the run in {self.path} was started with {_OPTIONS.get(name, name)} {was}, not {now}; "
                "go on with the same options, or start anew with another --output"
            )
        if weights is not None and file_sha256(weights) != started["weights"]:
            advice = "leave --weights out" if started["weights"] is None else "give the file that it was started from"
            raise ConfigError(f"the run in {self.path} was not started from {weights}; {advice}")

    def was_given_weights(self) -> bool:
        """Whether the run in it was started from a checkpoint."""
        return json.loads(self._settings.read_text())["weights"] is not None

    def write_settings(
        self, recipe: Recipe, *, seed: int, weights: Path | None, processes: Processes, precision: torch.dtype
    ) -> None:
        """Write down all that decides what comes out."""
        device = processes.device
        settings = {
            "recipe": asdict(recipe),
            "seed": seed,
            "weights": None if weights is None else file_sha256(weights),
            "commit": commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else cpu_name(),
            "processes": processes.count,
            "precision": str(precision).removeprefix("torch."),
            "cpu_threads": torch.get_num_threads(),
        }
        replace_file(self._settings, json.dumps(settings, indent=2) + "\n")

    def trim_log(self, *, finished_epochs: int) -> None:
        """Leave one line per finished epoch: a stop may have left one that was not saved, or half a line."""
        lines = self._log.read_text().splitlines(keepends=True) if self._log.exists() else []
        replace_file(self._log, "".join(lines[:finished_epochs]))

    def append(self, row: Row) -> None:
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


def _differences(was: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Where two settings differ: dotted name, first and second value."""
    if isinstance(was, dict) and isinstance(now, dict):
        for key in sorted(was.keys() | now.keys()):
            yield from _differences(was.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif was != now:
        yield name, was, now

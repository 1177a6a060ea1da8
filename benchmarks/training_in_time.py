"""Train a recipe for as many epochs as fit into the given time; write a record, keep what a reader needs of the run.

Two epochs are tried first. Their time decides how many epochs the whole run gets; its schedule is shortened in
proportion. --keep copies settings, log, curves, scores and manifest, and the checkpoint if it is small; of a stopped
run only the log.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import write_record
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import ScriptParser, raise_terminated, run
from train.recipes.catalog import find_recipe

ROOT = Path(__file__).resolve().parent.parent
_EXAMPLES = """\
example:
  python benchmarks/training_in_time.py osnet_cuhk03:scratch_x0_25 --data DATA --seconds 180 \\
      --runs runs --output record.json
"""
_TRIED_EPOCHS = 2
_SAFETY = 0.85
_LARGEST_CHECKPOINT_MB = 4
_KEPT_OF_STOPPED = ("log.jsonl",)
_KEPT = ("settings.json", "log.jsonl", "curves.png", "scores.json", "model.pth.json")


@dataclass(frozen=True)
class EpochPace:
    """What a short run took. once_s: time outside the epochs: to start, to read the images and to score."""

    epoch_s: float
    once_s: float

    def epochs_in(self, seconds: float) -> int:
        """How many epochs fit into so many seconds, with a margin."""
        return int((_SAFETY * seconds - self.once_s) / self.epoch_s)


def main(argv: list[str] | None = None) -> int:
    """Train, keep the run and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    start = time.monotonic()
    pace = _try(arguments)
    left_s = arguments.seconds - (time.monotonic() - start)
    epochs = min(pace.epochs_in(left_s), find_recipe(arguments.recipe).schedule.epochs)
    if epochs < 1:
        raise ConfigError(
            f"one epoch takes {pace.epoch_s:.1f} s and the rest of a run {pace.once_s:.0f} s, but {left_s:.0f} s are "
            f"left of --seconds {arguments.seconds:.0f}; give more"
        )
    folder = arguments.runs / "whole" / _name(arguments.recipe)
    try:
        _train(arguments, epochs=epochs, runs=folder.parent)
    finally:
        kept = arguments.keep / f"gpu_{folder.name}" if arguments.keep else None
        if kept:
            _keep(folder, kept)
        facts = {"recipe": arguments.recipe, "epochs": epochs, "epoch_s": round(pace.epoch_s, 2)}
        record = record_head("training_in_time") | facts | _outcome(folder)
        write_record(arguments.output, record)
    return 0


def _try(arguments: argparse.Namespace) -> EpochPace:
    """Train two epochs; the first one also waits for the libraries to choose their kernels."""
    folder = arguments.runs / "tried" / _name(arguments.recipe)
    shutil.rmtree(folder, ignore_errors=True)
    start = time.monotonic()
    _train(arguments, epochs=_TRIED_EPOCHS, runs=folder.parent)
    spent_s = time.monotonic() - start
    epoch_s = _log(folder)[-1]["seconds"]
    return EpochPace(epoch_s=epoch_s, once_s=spent_s - _TRIED_EPOCHS * epoch_s)


def _train(arguments: argparse.Namespace, *, epochs: int, runs: Path) -> None:
    command = [sys.executable, str(ROOT / "train" / "run.py"), arguments.recipe, "--data", str(arguments.data)]
    done = subprocess.run([*command, "--epochs", str(epochs), "--output", str(runs)], check=False)
    if done.returncode:
        raise ConfigError(f"train/run.py ended with exit code {done.returncode}; its messages are above")


def _name(recipe: str) -> str:
    """The name that train/run.py gives to the folder of a run."""
    return f"{recipe.replace(':', '-')}-seed0"


def _log(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _outcome(folder: Path) -> dict[str, Any]:
    """The scores, and how many epochs were finished."""
    log, scores = _log(folder), folder / "scores.json"
    return {
        "finished_epochs": len(log),
        "last_epoch": log[-1] if log else None,
        "scores": json.loads(scores.read_text()) if scores.exists() else None,
    }


def _keep(folder: Path, kept: Path) -> None:
    """Copy the run; of one that has no scores only the log, since tables are made of finished runs."""
    kept.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "model.pth"
    is_finished = (folder / "scores.json").exists()
    is_small = is_finished and checkpoint.stat().st_size < _LARGEST_CHECKPOINT_MB * 1e6
    for name in (*(_KEPT if is_finished else _KEPT_OF_STOPPED), *(["model.pth"] if is_small else [])):
        if (folder / name).exists():
            shutil.copyfile(folder / name, kept / name)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="RECIPE --data DATA --seconds 600 --runs /tmp/runs --output record.json",
        next_step="train/run.py trains the whole recipe",
        examples=_EXAMPLES,
    )
    parser.add_argument("recipe", help="name of a recipe, see train/run.py --list")
    parser.add_argument("--data", type=Path, required=True, help="folder of the recipe's data set")
    parser.add_argument("--seconds", type=float, required=True, help="time for everything")
    parser.add_argument("--runs", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--output", type=Path, required=True, help="record to write")
    parser.add_argument("--keep", type=Path, help="folder that gets gpu_RECIPE-seed0, what is kept of the run")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, raise_terminated)
    sys.exit(run(main))

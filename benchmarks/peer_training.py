"""Train OSNet with Torchreid's own loop by one of our recipes, on the same images, and score it as ours are scored.

The recipe must be one that Torchreid can follow: cross entropy, SGD, steps or cosine, flip, crop and patch. Torchreid
needs an environment of its own; `benchmarks/train_speed.py --help` says how to make one.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError, TrainingError
from edge_runtime.contract.manifest import Input
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.catalog import ReidData, open_data
from train.models.catalog import build
from train.models.pixels import describe_with
from train.models.weight_files import read_weights
from train.models.weights import load_weights
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Recipe
from train.scoring.scoring import score_on

ROOT = Path(__file__).resolve().parent.parent
_LOOP = ROOT / "benchmarks/peers/torchreid_training.py"
_EXAMPLES = """\
example:
  python benchmarks/peer_training.py reduced_cuhk03 --data /data/cuhk03_np_detected \\
      --peer-python /tmp/peer_venv/bin/python
"""
_PLAIN = {"triplet_weight": 0.0, "centre_weight": 0.0, "entropy_weight": 0.0, "mutual_weight": 0.0}


def main(argv: list[str] | None = None) -> int:
    """Write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    recipe = find_recipe(arguments.recipe)
    _check(recipe)
    data = open_data(recipe.data_set, arguments.data)
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        weights = _train(recipe, data, folder=Path(folder), arguments=arguments)
        seconds = time.perf_counter() - started
        network = build(recipe.architecture, classes=len(data.train_identities))
        load_weights(network, read_weights(weights), source=weights)
    input_ = Input(height_px=recipe.height_px, width_px=recipe.width_px)
    evidence = score_on(describe_with(network.eval(), input_, device=torch.device("cpu")), data, input_=input_)
    record = {
        "benchmark": "peer_training",
        "created": read_utc(),
        "commit": read_commit(),
        "device": torch.cuda.get_device_name() if arguments.device == "cuda" else read_cpu_name(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "torchreid": "0.2.5"},
        "peer": "Torchreid's data manager, network, optimiser and engine, unchanged; scored by train/scoring",
        "recipe": asdict(recipe),
        "seed": arguments.seed,
        "seconds": round(seconds),
        "evidence": evidence.model_dump(),
    }
    name = f"peer_{recipe.name.replace(':', '-')}-seed{arguments.seed}.json"
    output = arguments.output or record_folder() / name
    write_record(output, record)
    print(f"rank-1 {evidence.rank1.value:.3f}, mAP {evidence.mean_ap.value:.3f}; record: {output}")
    return 0


def _check(recipe: Recipe) -> None:
    """Refuse a recipe that Torchreid's loop cannot follow."""
    losses, schedule = recipe.losses, recipe.schedule
    same = (
        recipe.task == "reid"
        and recipe.optimiser.name == "sgd"
        and not (schedule.warm_up_epochs or schedule.classifier_only_epochs or recipe.batches.images_per_identity)
        and all(getattr(losses, name) == value for name, value in _PLAIN.items())
    )
    if not same:
        raise ConfigError(f"Torchreid cannot follow recipe {recipe.name}; give one of cross entropy and SGD")


def _train(recipe: Recipe, data: ReidData, *, folder: Path, arguments: argparse.Namespace) -> Path:
    """Run Torchreid in its own Python. Returns the weights it wrote."""
    classes = {identity: number for number, identity in enumerate(data.train_identities)}
    job = {
        "network": recipe.architecture,
        "train": [(str(s.path), classes[s.identity], s.camera_id) for s in data.train],
        "height": recipe.height_px,
        "width": recipe.width_px,
        "batch": recipe.batches.size,
        "augmentation": asdict(recipe.augmentation),
        "label_smoothing": recipe.losses.label_smoothing,
        "optimiser": asdict(recipe.optimiser),
        "schedule": recipe.schedule.shape,
        "steps": recipe.schedule.steps,
        "epochs": recipe.schedule.epochs,
        "seed": arguments.seed,
        "device": arguments.device,
        "weights": str(folder / "weights.pth"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    command = [arguments.peer_python, str(_LOOP), str(folder / "job.json")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, check=False, env=environment)
    if done.returncode:
        raise TrainingError(f"Torchreid stopped with exit code {done.returncode}; its messages are above")
    return folder / "weights.pth"


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="reduced_cuhk03 --data DATA --peer-python PYTHON",
        next_step="benchmarks/README.md shows the records as tables",
        examples=_EXAMPLES,
    )
    parser.add_argument("recipe", help="name of a recipe, see train/run.py --list")
    parser.add_argument("--data", type=Path, required=True, help="folder of the recipe's data set")
    parser.add_argument("--peer-python", type=Path, required=True, help="Python of the environment with Torchreid")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/peer_RECIPE-seedN.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

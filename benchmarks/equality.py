"""Show that training by this project is training by the public code: the same steps in float64, side by side.

OSNet's family is compared with Torchreid itself: its network, loss, optimiser, schedule, frozen layers and engine. Both
start from the same weights and get the same ten batches: two epochs train the classifier alone, the learning rate falls
after the seventh. The differences are those of the order in which sums are taken.
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.measuring.lockstep import Steps, compare_steps, take_our_steps
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError, TrainingError
from edge_runtime.contract.script import ScriptParser, run
from train.models.catalog import build
from train.recipes.recipe import Augmentation, Batches, Expected, Losses, Optimiser, Recipe, Schedule

ROOT = Path(__file__).resolve().parent.parent
_WORKER = ROOT / "benchmarks/peers/torchreid_lockstep.py"
NETWORKS = (
    "osnet_x1_0",
    "osnet_x0_75",
    "osnet_x0_5",
    "osnet_x0_25",
    "osnet_ibn_x1_0",
    "osnet_ain_x1_0",
    "osnet_ain_x0_25",
)
"""Of Torchreid's zoo."""
BAR = 1e-10
_CLASSES = 8
_FROZEN, _STEP, _EPOCHS = 2, 7, 10
_EXAMPLES = """\
examples:
  python benchmarks/equality.py --peer-python /tmp/peer_venv/bin/python
  python benchmarks/equality.py --peer-python /tmp/peer_venv/bin/python --networks osnet_x0_25 --output /tmp/equal.json

`benchmarks/train_speed.py --help` says how to make Torchreid's environment.
"""


def main(argv: list[str] | None = None) -> int:
    """Write the record. Returns 0 if all networks are equal, else 1."""
    arguments = _parser().parse_args(argv)
    if unknown := [name for name in arguments.networks if name not in NETWORKS]:
        raise ConfigError(f"Torchreid has no {unknown[0]} with our names; it has {', '.join(NETWORKS)}")
    compared: list[dict[str, Any]] = []
    output = arguments.output or record_folder() / "equality.json"
    for name in arguments.networks:
        compared.append(compare_with_torchreid(name, python=arguments.peer_python))
        write_record(output, _record(compared))  # after each, so that a stopped run leaves what it found
        shown = (f"{key} {value:.1e}" for key, value in compared[-1].items() if isinstance(value, float))
        print(f"{name}: {', '.join(shown)}", flush=True)
    worst = max(max(one["first_gradient"], one["weight"]) for one in compared)
    print(f"largest difference {worst:.1e}, the bar is {BAR:.0e}; record: {output}")
    return 0 if worst <= BAR else 1


def lockstep_recipe(network: str) -> Recipe:
    """OSNet's fine-tuning in small: AMSGrad 0.0015, smoothed labels, first the classifier, then a step down."""
    return Recipe(
        name="lockstep",
        architecture=network,
        data_set="noise",
        height_px=64,
        width_px=32,
        batches=Batches(size=16),
        augmentation=Augmentation(),
        losses=Losses(),
        optimiser=Optimiser("amsgrad", 0.0015),
        schedule=Schedule(epochs=_EPOCHS, shape="steps", steps=(_STEP,), classifier_only_epochs=_FROZEN),
        needs_weights=True,
        expected=Expected("none"),
    )


def compare_with_torchreid(name: str, *, python: Path) -> dict[str, Any]:
    """Take ten steps with each. Returns the peer and the differences of a network.

    Raises:
        TrainingError: Torchreid stopped.
    """
    recipe = lockstep_recipe(name)
    torch.manual_seed(0)
    network = build(name, classes=_CLASSES).double()
    start = {key: value.clone() for key, value in network.state_dict().items()}
    ours, batches = take_our_steps(network, recipe, classes=_CLASSES)
    job = {
        "network": name,
        "classes": _CLASSES,
        "weights": start,
        "batches": batches,
        "learning_rate": recipe.optimiser.learning_rate,
        "weight_decay": recipe.optimiser.weight_decay,
        "steps": list(recipe.schedule.steps),
        "frozen_epochs": recipe.schedule.classifier_only_epochs,
    }
    result = _run_torchreid(job, python=python)
    other = Steps(result["losses"], result["gradients"], result["weights"])
    differences = compare_steps(ours, other, frozen=_FROZEN)
    return {"network": name, "peer": f"torchreid {result['version']}", **asdict(differences)}


def _run_torchreid(job: dict[str, Any], *, python: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("job.pt", "result.pt")]
        torch.save(job, files[0])
        command = [str(python), str(_WORKER), *map(str, files)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        except OSError as error:
            raise ConfigError(f"cannot start {python}: {error.strerror}; give the Python that has Torchreid") from error
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            raise TrainingError(f"Torchreid stopped with exit code {done.returncode}: {last[0]}")
        result: dict[str, Any] = torch.load(files[1], weights_only=True)
        return result


def _record(compared: list[dict[str, Any]]) -> dict[str, object]:
    return {
        **record_head("equality"),
        "job": f"{_EPOCHS} steps in float64 on noise of 64 x 32 pixels, batches of 16 of {_CLASSES} classes; "
        f"{_FROZEN} steps train the classifier alone, the learning rate falls after step {_STEP}",
        "bar": BAR,
        "networks": compared,
    }


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--peer-python PYTHON",
        next_step="benchmarks/README.md shows the record as a table",
        examples=_EXAMPLES,
    )
    parser.add_argument("--peer-python", type=Path, required=True, help="Python of the environment with Torchreid")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), help="(default: all)")
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/equality.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

"""Measure images per second of our training loop and of Torchreid's, in turns; write a record.

The record is written after each measurement, so that a stopped run leaves what it found.
"""

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from tqdm import tqdm

from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.sized_network import SizedNetwork, parse_size
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.provenance import read_commit, read_cpu_name, read_utc
from edge_runtime.contract.script import ScriptParser, run
from train.machine.mixed_precision import precision_for

ROOT = Path(__file__).resolve().parent.parent
_LOOPS = ROOT / "benchmarks/peers/training_loops.py"
_OURS, _FLOAT32, _COMPILED = "ours", "ours_float32", "ours_compiled"
_IMAGE_PX = (128, 64)
"""Height and width of the generated files: the size of the CUHK03 crops that are at hand."""
_FILES = 512
_RUN_EPOCHS = 60
"""Epochs of the shortest recipe; our loop decodes once per run, and a 60th of that is counted to each epoch."""
_EXAMPLES = """\
examples:
  python benchmarks/train_speed.py --peer-python /tmp/peer_venv/bin/python
  python benchmarks/train_speed.py --networks osnet_x0_25 --sizes 128x64 --rounds 1 --steps 2

Torchreid needs old packages, and so an environment of its own:
  python -m venv /tmp/peer_venv && /tmp/peer_venv/bin/pip install torch torchvision
  /tmp/peer_venv/bin/pip install --no-deps torchreid==0.2.5 && /tmp/peer_venv/bin/pip install \\
      gdown numpy pillow scipy h5py six tensorboard opencv-python-headless matplotlib
Without --peer-python the peer is Torchreid's loop written again, and the record says so.
"""


@dataclass(frozen=True)
class LoopSpeed:
    """One loop on one network. times_peer: the ratio of medians, larger is faster; None until the peer was timed."""

    network: str
    height_px: int
    width_px: int
    loop: str
    images_per_s: float
    each_round: list[float]
    times_peer: float | None


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if min(arguments.rounds, arguments.steps, arguments.batch) < 1:
        raise ConfigError("--rounds, --steps and --batch must be at least 1")
    peer = "restated" if arguments.peer_python is None else "torchreid"
    loops = [peer, *_our_loops(compiles=arguments.compile)]
    cases = [SizedNetwork(network, *size) for size in arguments.sizes for network in arguments.networks]
    output = arguments.output or record_folder() / "train_speed.json"
    speeds: list[LoopSpeed] = []
    with tempfile.TemporaryDirectory() as folder:
        _write_images(Path(folder))
        for measured in _measure(cases, loops, data=Path(folder), arguments=arguments):
            speeds = [_speed(case, loop, measured=measured, peer=peer) for case, loop in measured]
            names = {one.loop for (_, loop), (one, *_) in measured.items() if loop == peer}
            record = _record(speeds, arguments=arguments, peer=names.pop() if names else peer)
            write_record(output, record)
    print(_table(speeds))
    print(f"{record['device']}, {record['threads']} threads; record: {output}")
    return 0


@dataclass(frozen=True)
class LoopRound:
    """What one process measured."""

    loop: str
    images_per_s: float


Measurements = dict[tuple[SizedNetwork, str], list["LoopRound"]]
"""What each round gave, by network and loop."""


def _our_loops(*, compiles: bool) -> list[str]:
    """Ours in the usual precision of this device, in float32 too if that is another, and compiled if asked for."""
    usual = precision_for(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return [_OURS, *([_FLOAT32] if usual != torch.float32 else []), *([_COMPILED] if compiles else [])]


def _measure(
    cases: Sequence[SizedNetwork], loops: Sequence[str], *, data: Path, arguments: argparse.Namespace
) -> Iterator[Measurements]:
    """Measure in a process each, the loops in random order in each round. Yields all results so far after each."""
    order = random.Random(0)
    measured: Measurements = {}
    for _ in tqdm(range(arguments.rounds), desc="rounds", disable=None):
        for case in cases:
            for loop in order.sample(list(loops), len(loops)):
                found = _time(case, loop, data=data, arguments=arguments)
                measured.setdefault((case, loop), []).append(found)
                yield {
                    (case, loop): measured[case, loop] for case in cases for loop in loops if (case, loop) in measured
                }


def _time(case: SizedNetwork, loop: str, *, data: Path, arguments: argparse.Namespace) -> LoopRound:
    python = arguments.peer_python if loop == "torchreid" else sys.executable
    options = {
        "--network": case.architecture,
        "--data": data,
        "--height": case.height_px,
        "--width": case.width_px,
        "--batch": arguments.batch,
        "--steps": arguments.steps,
        "--threads": arguments.threads,
        "--workers": min(4, os.cpu_count() or 1),
        "--device": "cuda" if torch.cuda.is_available() else "cpu",
    }
    command = [str(python), str(_LOOPS), loop, *(str(text) for option in options.items() for text in option)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ConfigError(
            f"the loop {loop} failed on {case.architecture}: {last[0]}; try it alone: {' '.join(command)}"
        )
    found = json.loads(done.stdout)
    seconds = median(found["epoch_s"]) + found["reading_s"] / _RUN_EPOCHS
    return LoopRound(found["loop"], arguments.steps * arguments.batch / seconds)


def _write_images(folder: Path) -> None:
    """Write JPEG files with about as much detail as small crops of people: blurred noise over colour patches."""
    random_ = np.random.default_rng(0)
    height, width = _IMAGE_PX
    for number in range(_FILES):
        patches = cv2.resize(random_.integers(0, 256, (8, 4, 3)).astype(np.float32), (width, height))
        noise = cv2.GaussianBlur(random_.normal(0, 60, (height, width, 3)), (3, 3), 0)
        image = np.clip(patches + noise, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), image)


def _speed(case: SizedNetwork, loop: str, *, measured: Measurements, peer: str) -> LoopSpeed:
    values = [one.images_per_s for one in measured[case, loop]]
    peers = [one.images_per_s for one in measured.get((case, peer), ())]
    return LoopSpeed(
        network=case.architecture,
        height_px=case.height_px,
        width_px=case.width_px,
        loop=measured[case, loop][0].loop,
        images_per_s=round(median(values), 1),
        each_round=[round(value, 1) for value in values],
        times_peer=round(median(values) / median(peers), 2) if peers else None,
    )


def _record(speeds: Sequence[LoopSpeed], *, arguments: argparse.Namespace, peer: str) -> dict[str, object]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return {
        "benchmark": "train_speed",
        "created": read_utc(),
        "commit": read_commit(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else read_cpu_name(),
        "cores": os.cpu_count(),
        "threads": arguments.threads,
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
        "peer": peer,
        "precision": {"ours": str(precision_for(device)).removeprefix("torch."), "peer": "float32"},
        "batch": arguments.batch,
        "steps": arguments.steps,
        "rounds": arguments.rounds,
        "job": "decode, resize, flip, erase, forward, label-smoothed softmax, backward, AMSGrad",
        "images": f"generated JPEG files of {_IMAGE_PX[0]}x{_IMAGE_PX[1]} pixels",
        "method": (
            "a process per measurement, loops in random order per round; one epoch warms up, the next is timed; "
            f"our loop decodes once per run, a {_RUN_EPOCHS}th of it is counted; ratios of medians"
        ),
        "speeds": [asdict(speed) for speed in speeds],
    }


def _table(speeds: Sequence[LoopSpeed]) -> str:
    rows = [f"{'network':14}{'input':>9}  {'loop':32}{'images/s':>10}{'x peer':>8}"]
    for one in speeds:
        size = f"{one.height_px}x{one.width_px}"
        rows.append(
            f"{one.network:14}{size:>9}  {one.loop:32}{one.images_per_s:>10.1f}{one.times_peer or float('nan'):>8.2f}"
        )
    return "\n".join(rows)


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--networks osnet_x0_25 --sizes 128x64 --rounds 1 --steps 2",
        next_step="benchmarks/README.md shows the records as tables",
        examples=_EXAMPLES,
    )
    has_gpu = torch.cuda.is_available()
    sizes = [(256, 128)] if has_gpu else [(128, 64), (256, 128)]
    parser.add_argument("--peer-python", type=Path, help="Python of the environment that has Torchreid")
    parser.add_argument(
        "--networks", nargs="+", default=["osnet_x0_25", "osnet_x1_0"], help="(default: OSNet x0.25, x1.0)"
    )
    parser.add_argument("--sizes", nargs="+", type=parse_size, default=sizes, help="HEIGHTxWIDTH")
    parser.add_argument("--batch", type=int, default=64, help="images per step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=200 if has_gpu else 8, help="batches that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each loop (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count() or 1, help="threads of PyTorch on the CPU (default: all cores)"
    )
    parser.add_argument(
        "--compile", action="store_true", help="time our loop with torch.compile too; it takes a minute to start"
    )
    parser.add_argument("--output", type=Path, help="record (default: benchmarks/records/MACHINE/train_speed.json)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

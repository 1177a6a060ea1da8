"""Measure everything that needs an NVIDIA GPU, in one go and in time, without internet access; write a record per step.

Steps: does TensorRT run; latency of engines beside PyTorch's ways; accuracy of engines and across precisions; training
speed and whole runs; the crop kernel. Each runs in processes of its own, gets its share of the minutes and what earlier
ones left, and ends in benchmarks/records/gpu_STEP.json, with figures or with the sentence that says why there are none.

example, on a machine where the project is not installed:
  PYTHONPATH=. python3 benchmarks/gpu_evidence.py --data /data/cuhk03_np_detected --checkpoint model.pth --minutes 25
with TensorRT out of a bundle of pack_tensorrt.py:
  PYTHONPATH=. python3 benchmarks/gpu_evidence.py --data DATA --bundle BUNDLE --python PYTHON_OF_THE_BUNDLE
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.script import run
from edge_runtime.engine.cuda import read_device
from measuring.evidence_steps import Site, steps
from measuring.machine import record_head
from measuring.step import Step, run_step, shares

ROOT = Path(__file__).resolve().parent.parent
_RECORDS = ROOT / "benchmarks" / "records"
_METHOD = "benchmarks/gpu_evidence.py: each command in a process of its own, stopped at its share of the time"


def main(argv: list[str] | None = None) -> int:
    """Run the steps. Returns 0 if every one of them has figures."""
    arguments = _parser().parse_args(argv)
    if not arguments.minutes > 0:
        raise ConfigError(f"expected --minutes above 0, found {arguments.minutes:g}")
    for path in (arguments.data, arguments.checkpoint, arguments.bundle):
        if path is not None and not path.exists():
            raise ConfigError(f"expected {path} to exist; give a file or folder of this machine")
    deadline = time.monotonic() + 60 * arguments.minutes
    no_device = _no_device()
    with tempfile.TemporaryDirectory(prefix="gpu_evidence-") as name:
        work = arguments.work or Path(name)
        work.mkdir(parents=True, exist_ok=True)
        environment = _environment(arguments.bundle, work)
        site = Site(
            python=sys.executable,
            tensorrt_python=str(arguments.python or sys.executable),
            work=work,
            data=arguments.data,
            checkpoint=arguments.checkpoint,
            recipes=tuple(arguments.recipes),
            no_device=no_device,
            no_tensorrt=_no_tensorrt(str(arguments.python or sys.executable), environment),
        )
        todo = [step for step in steps(site) if step.name in (arguments.steps or [step.name])]
        named = {str(work): "WORK", str(arguments.data): "DATA", f"{ROOT}{os.sep}": "", sys.executable: "python"}
        errors = 0
        for step, found in _run_all(todo, deadline=deadline, environment=environment):
            path = arguments.records / f"gpu_{step.name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(without_paths(_record(step, found), named))
            print("".join(f"  {error}\n" for error in dict.fromkeys(found["errors"])) + f"  record: {path}")
            errors += len(found["errors"])
    return int(errors > 0)


def _run_all(
    todo: Sequence[Step], *, deadline: float, environment: Mapping[str, str]
) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Run the steps, each within its share of the time that is left then."""
    for index, step in enumerate(todo):
        budget_s = shares([one.weight for one in todo[index:]], left_s=max(0.0, deadline - time.monotonic()))
        print(f"{step.name}: {step.what} (at most {budget_s:.0f} s)", flush=True)
        yield step, run_step(step, budget_s=budget_s, environment=environment)


def _record(step: Step, found: Mapping[str, Any]) -> str:
    return json.dumps(record_head(f"gpu_{step.name}") | {"method": _METHOD} | dict(found), indent=2) + "\n"


def without_paths(text: str, named: Mapping[str, str]) -> str:
    """The text with this machine's folders called by what they are: records are for other people."""
    for path in sorted(named, key=len, reverse=True):
        text = text.replace(path, named[path])
    return text


def _no_device() -> str | None:
    """Why nothing can be measured here; None where there is a GPU."""
    try:
        read_device()
    except EngineError as error:
        return f"no CUDA device: {error}"
    return None


def _no_tensorrt(python: str, environment: Mapping[str, str]) -> str | None:
    """Why TensorRT's engines cannot be built by this interpreter; None where they can."""
    code = "import sys, export.tensorrt_builder as b; sys.exit(b.tensorrt_unavailable())"
    try:
        done = subprocess.run(
            [python, "-c", code], capture_output=True, text=True, env=dict(environment), check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"expected --python to be an interpreter that starts, found {python}: {error}") from error
    last = (done.stderr.strip() or "it gives no reason").splitlines()[-1]
    return None if done.returncode == 0 else f"no TensorRT: {last}"


def _environment(bundle: Path | None, work: Path) -> dict[str, str]:
    """What the steps see: the project on the path, and the bundle's libraries once it is unpacked."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}
    if bundle is None:
        return environment
    unpacked = work / "tensorrt"
    command = [
        sys.executable,
        str(bundle / "pack_tensorrt.py"),
        "unpack",
        "--parts",
        str(bundle),
        "--dest",
        str(unpacked),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"cannot unpack {bundle}: {(done.stderr.strip() or 'no reason given').splitlines()[-1]}")
    sourced = subprocess.run(
        ["bash", "-c", f". {shlex.quote(str(unpacked / 'env.sh'))} && env -0"],
        capture_output=True, text=True, env=environment, check=True,
    )  # fmt: skip
    return dict(entry.split("=", 1) for entry in sourced.stdout.split("\0") if "=" in entry)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CUHK03 in its new protocol, Market-1501's layout")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of ours (default: the committed ONNX files)")
    parser.add_argument("--minutes", type=float, default=25, help="for everything (default: %(default)s)")
    parser.add_argument("--steps", nargs="+", choices=("tensorrt", "latency", "accuracy", "training", "crop_kernel"))
    parser.add_argument("--bundle", type=Path, help="folder with the parts of a TensorRT bundle of pack_tensorrt.py")
    parser.add_argument("--python", type=Path, help="interpreter that TensorRT is for (default: this one)")
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=["osnet_cuhk03:scratch", "osnet_cuhk03:scratch_x0_25"],
        help="what to train, in this order, as far as time allows (default: OSNet x1.0 and x0.25 from scratch)",
    )
    parser.add_argument("--work", type=Path, help="folder for engines and runs, kept (default: one that is removed)")
    parser.add_argument("--records", type=Path, default=_RECORDS, help="folder (default: benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

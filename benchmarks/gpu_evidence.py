"""Measure everything that needs an NVIDIA GPU, within the given minutes and without internet; write a record per step.

Steps: whether TensorRT runs; latency of engines and of PyTorch; accuracy of engines, also across precisions; training
speed and whole runs; the crop kernel. Each step runs in processes of its own, in its share of the time and what earlier
steps left. It writes benchmarks/records/MACHINE/gpu_STEP.json, with figures, or with the reason why there are none. The
record is written after each process, so that a stopped run leaves what it found.

What must be installed, in one Python or in two:
  this Python         the extras runtime, cpu and train (torch, onnx, onnxruntime, opencv, pydantic, matplotlib, ...)
  TensorRT's Python   tensorrt, and the extras cpu, export and cuda (onnx, onnxruntime, opencv, pydantic, ...)
Of two Pythons (--python) each sees only its own packages: PYTHONPATH and the bundle's libraries are not shared.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.evidence_steps import Site, list_steps
from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder
from benchmarks.measuring.timed_steps import Step, allot_seconds, run_step
from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.manifest import manifest_path
from edge_runtime.contract.script import ScriptParser, raise_terminated, run
from edge_runtime.engine.tensorrt.cuda import read_device

ROOT = Path(__file__).resolve().parent.parent
_MODEL = ROOT / "edge_runtime" / "models" / "osnet_x0_25.onnx"
_METHOD = "benchmarks/gpu_evidence.py: each command in a process of its own, stopped at its share of the time"
_EXAMPLES = """\
examples, on a machine where the project is not installed:
  PYTHONPATH=. python3 benchmarks/gpu_evidence.py --data /data/cuhk03_np_detected --checkpoint model.pth
with TensorRT from a bundle of pack_tensorrt.py that also holds a Python; --python is its path in the bundle:
  PYTHONPATH=. python3 benchmarks/gpu_evidence.py --data DATA --bundle BUNDLE --python python/bin/python3
in parts, where a command may not take so long; --work keeps networks, engines and the timing cache between them:
  PYTHONPATH=. python3 benchmarks/gpu_evidence.py --data DATA --work WORK --steps tensorrt latency --minutes 9
"""
_TENSORRT = (
    "import sys, cv2, onnxruntime, tqdm, export.building.tensorrt_builder as builder; "
    "sys.exit(builder.tensorrt_unavailable())"
)


@dataclass(frozen=True)
class Interpreter:
    """A Python and what it sees. fault: why it cannot be used at all, None where it can."""

    path: str
    environment: Mapping[str, str]
    fault: str | None = None


def main(argv: list[str] | None = None) -> int:
    """Run the steps. Returns 0 if every one of them has figures."""
    arguments = _parser().parse_args(argv)
    _check(arguments)
    records: Path = arguments.records or record_folder()
    deadline = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory(prefix="gpu_evidence-") as name:
        work = (arguments.work or Path(name)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        own = Interpreter(sys.executable, _environment(os.environ.get("PYTHONPATH")))
        other = find_tensorrt_interpreter(arguments.python, arguments.bundle, own=own, work=work)
        site = _site(arguments, own, other=other, work=work, records=records)
        todo = [step for step in list_steps(site) if step.name in (arguments.steps or [step.name])]
        named = {str(work): "WORK", str(site.data): "DATA", f"{ROOT}{os.sep}": "", own.path: "python"}
        if other.path != own.path:
            named[other.path] = "tensorrt_python"
        named[str(site.records)] = "RECORDS"
        head = record_head("gpu")
        errors = 0
        for step, found in _run_all(todo, deadline=deadline, interpreters=(own, other)):
            path = records / f"gpu_{step.name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(hide_paths(_record(step, found, head=head), named))
            if len(found["commands"]) == len(step.commands):
                print("".join(f"  {error}\n" for error in dict.fromkeys(found["errors"])) + f"  record: {path}")
                errors += len(found["errors"])
    return int(errors > 0)


def _check(arguments: argparse.Namespace) -> None:
    if not arguments.minutes > 0:
        raise ConfigError(f"expected --minutes above 0, found {arguments.minutes:g}")
    for path in (arguments.data, arguments.checkpoint, arguments.bundle):
        if path is not None and not path.exists():
            raise ConfigError(f"expected {path} to exist; give a file or folder of this machine")


def _site(arguments: argparse.Namespace, own: Interpreter, *, other: Interpreter, work: Path, records: Path) -> Site:
    no_device = _no_device()
    return Site(
        python=own.path,
        tensorrt_python=other.path,
        work=work,
        records=records.resolve(),
        data=arguments.data.resolve(),
        model=_model(arguments.checkpoint, work / "models"),
        checkpoint=arguments.checkpoint and arguments.checkpoint.resolve(),
        recipes=tuple(arguments.recipes),
        no_device=no_device,
        no_tensorrt=None if no_device else _cannot(_TENSORRT, other, what="TensorRT"),
    )


def _model(checkpoint: Path | None, folder: Path) -> Path:
    """Path of the checkpoint's ONNX file, exported later; without a checkpoint a copy of the committed file."""
    if checkpoint:
        return folder / f"{checkpoint.stem}.onnx"
    folder.mkdir(exist_ok=True)
    for path in (_MODEL, manifest_path(_MODEL)):
        shutil.copyfile(path, folder / path.name)
    return folder / _MODEL.name


def _run_all(
    todo: Sequence[Step], *, deadline: float, interpreters: Sequence[Interpreter]
) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Run the steps, each within its share of the time that is left then. Yields what was found after each command."""
    environments = {one.path: one.environment for one in interpreters}
    for index, step in enumerate(todo):
        budget_s = allot_seconds([one.weight for one in todo[index:]], left_s=max(0.0, deadline - time.monotonic()))
        print(f"{step.name}: {step.what} (at most {budget_s:.0f} s)", flush=True)
        for found in run_step(step, budget_s=budget_s, environments=environments):
            yield step, found


def _record(step: Step, found: Mapping[str, Any], *, head: Mapping[str, Any]) -> str:
    facts = {"benchmark": f"gpu_{step.name}", "method": _METHOD}
    return json.dumps(dict(head) | facts | dict(found), indent=2) + "\n"


def hide_paths(text: str, named: Mapping[str, str]) -> str:
    """Replace this machine's paths by what they are, because records are for other people. named: name by path."""
    for path in sorted(named, key=len, reverse=True):
        text = text.replace(path, named[path])
    return text


def _no_device() -> str | None:
    """The reason why nothing can be measured here; None where there is a GPU."""
    try:
        read_device()
    except EngineError as error:
        return f"no CUDA device: {error}"
    return None


def _cannot(code: str, interpreter: Interpreter, *, what: str) -> str | None:
    """The reason why an interpreter cannot run this code; None where it can."""
    if interpreter.fault:
        return f"no {what}: {interpreter.fault}"
    command = [interpreter.path, "-c", code]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, env=dict(interpreter.environment), check=False, timeout=120
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"no {what}: {interpreter.path} does not start: {error}"
    return None if done.returncode == 0 else f"no {what}: {_last_line(done.stderr)}"


def _environment(python_path: str | None) -> dict[str, str]:
    """The environment of this process, with the project and these packages on the path."""
    paths = [str(ROOT), *filter(None, [python_path])]
    return dict(os.environ) | {"PYTHONPATH": os.pathsep.join(paths)}


def find_tensorrt_interpreter(python: Path | None, bundle: Path | None, *, own: Interpreter, work: Path) -> Interpreter:
    """TensorRT's Python; its path may lie in the bundle. One of a broken bundle has a fault."""
    environment = _environment(None) if python else dict(own.environment)
    path = str(python or own.path)
    if bundle is None:
        return Interpreter(path, environment)
    unpacked = work / "tensorrt"
    try:
        _unpack(bundle, unpacked)
        environment = _sourced(unpacked / "env.sh", environment)
    except (OSError, EngineError) as error:
        return Interpreter(path, environment, fault=f"cannot unpack {bundle}: {error}")
    return Interpreter(str(unpacked / path), environment)


def _unpack(bundle: Path, folder: Path) -> None:
    if (folder / "env.sh").exists():
        return
    command = [
        sys.executable,
        str(bundle / "pack_tensorrt.py"),
        "unpack",
        "--parts",
        str(bundle),
        "--dest",
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(_last_line(done.stderr))


def _sourced(script: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment after a shell has read the script."""
    command = ["bash", "-c", f". {shlex.quote(str(script))} && env -0"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False)
    if done.returncode:
        raise EngineError(_last_line(done.stderr))
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if "=" in entry)


def _last_line(text: str) -> str:
    return (text.strip() or "it gives no reason").splitlines()[-1]


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--data DATA",
        next_step="python benchmarks/readme_tables.py makes tables of the records",
        examples=_EXAMPLES,
    )
    parser.add_argument("--data", type=Path, required=True, help="CUHK03 in its new protocol, in Market-1501's layout")
    parser.add_argument("--checkpoint", type=Path, help="a checkpoint of ours (default: the committed ONNX files)")
    parser.add_argument("--minutes", type=float, default=25, help="time for everything (default: %(default)s)")
    steps = ("tensorrt", "latency", "accuracy", "training", "crop_kernel")
    parser.add_argument("--steps", nargs="+", choices=steps, help="(default: all)")
    parser.add_argument("--bundle", type=Path, help="folder with the parts of a TensorRT bundle of pack_tensorrt.py")
    parser.add_argument(
        "--python", type=Path, help="TensorRT's Python, of this machine or in the bundle (default: this one)"
    )
    parser.add_argument(
        "--recipes",
        nargs="+",
        default=["osnet_cuhk03:scratch", "osnet_cuhk03:scratch_x0_25"],
        help="recipes to train, in this order, while there is time (default: OSNet x1.0 and x0.25 from scratch)",
    )
    parser.add_argument(
        "--work",
        type=Path,
        help="folder for networks, engines and runs; existing files are used again (default: a temporary folder)",
    )
    parser.add_argument("--records", type=Path, help="folder (default: benchmarks/records/MACHINE)")
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, raise_terminated)
    sys.exit(run(main))

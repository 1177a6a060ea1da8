"""Steps of a measurement with a time limit: commands in processes of their own, with a record in every case."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT_S = "LIMIT_S"
"""In a command's arguments: replaced by the seconds that the command gets."""
_GRACE_S = 5
_LEAST_S = 1
_TAIL_LINES = 5


@dataclass(frozen=True)
class Command:
    """One program of a step.

    arguments: the interpreter first. weight: its share of the step's time. output: the record it writes; None if it
    prints its record or has none. inputs: files for the end of the command line; those that exist when it starts are
    given, and it does not run if none exists. makes: files for later commands; it does not run if all exist.
    unavailable: the reason why it cannot run here, None if it can.
    """

    arguments: tuple[str, ...]
    weight: float = 1
    output: Path | None = None
    inputs: tuple[Path, ...] = ()
    makes: tuple[Path, ...] = ()
    unavailable: str | None = None


@dataclass(frozen=True)
class Step:
    """Commands that share one record, gpu_NAME.json. weight: share of the whole time."""

    name: str
    what: str
    weight: float
    commands: tuple[Command, ...]


def allot_seconds(weights: Sequence[float], *, left_s: float) -> float:
    """Seconds for the first of these: its share of the remaining time. What it does not use goes to the others."""
    return left_s * weights[0] / sum(weights)


def run_step(
    step: Step,
    *,
    budget_s: float,
    environments: Mapping[str, Mapping[str, str]],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[dict[str, Any]]:
    """Run the commands one after the other within the budget, each in the environment of its interpreter.

    Yields the record so far after each command: of each command its line, seconds, error or None, and its own record.
    """
    start = clock()
    found: list[dict[str, Any]] = []
    for index, command in enumerate(step.commands):
        left_s = max(0.0, budget_s - (clock() - start))
        limit_s = allot_seconds([one.weight for one in step.commands[index:]], left_s=left_s)
        found.append(_run(command, limit_s=limit_s, environment=environments[command.arguments[0]], clock=clock))
        yield {
            "step": step.name,
            "what": step.what,
            "budget_s": round(budget_s, 1),
            "spent_s": round(clock() - start, 1),
            "commands": found,
            "errors": [one["error"] for one in found if one["error"]],
        }


def _run(
    command: Command, *, limit_s: float, environment: Mapping[str, str], clock: Callable[[], float]
) -> dict[str, Any]:
    inputs = [path for path in command.inputs if path.exists()]
    line = [argument.replace(LIMIT_S, f"{limit_s:.0f}") for argument in (*command.arguments, *map(str, inputs))]
    shown = {"command": " ".join(line), "limit_s": round(limit_s, 1), "seconds": 0.0, "error": None, "record": None}
    if reason := _cannot_run(command, inputs, limit_s=limit_s):
        return shown | {"error": f"not run: {reason}"}
    if command.makes and all(path.exists() for path in command.makes):
        return shown | {"note": "not run: what it makes is there already", "record": _record(command, "")}
    start = clock()
    code, printed, complaints = _in_own_group(line, limit_s=limit_s, environment=environment)
    error = _sentence(code, complaints, limit_s=limit_s)
    return shown | {"seconds": round(clock() - start, 1), "error": error, "record": _record(command, printed)}


def _cannot_run(command: Command, inputs: Sequence[Path], *, limit_s: float) -> str | None:
    if command.unavailable:
        return command.unavailable
    if command.inputs and not inputs:
        return f"none of its inputs was made: {', '.join(path.name for path in command.inputs)}"
    return "no time was left for it" if limit_s < _LEAST_S else None


def _record(command: Command, printed: str) -> Any:
    return _read(command.output) if command.output else _parse(printed)


def _in_own_group(
    line: Sequence[str], *, limit_s: float, environment: Mapping[str, str]
) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr. The code is None if the command and its children had to be stopped."""
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(environment), start_new_session=True
    )
    try:
        printed, complaints = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            printed, complaints = process.communicate(timeout=_GRACE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            printed, complaints = process.communicate()
        return None, printed, complaints
    except KeyboardInterrupt:  # in a session of its own it would not stop with us
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, printed, complaints


def _sentence(code: int | None, complaints: str, *, limit_s: float) -> str | None:
    if code == 0:
        return None
    lines = [line for line in complaints.strip().splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "it gave no reason"
    if code is None:
        return f"stopped after its {limit_s:.0f} s; last words: {last}"
    return last if len(lines) == 1 else " | ".join(lines[-_TAIL_LINES:]) if lines else f"exit code {code}: {last}"


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def _parse(printed: str) -> Any:
    """A record that was printed, if need be after other lines; None if there is none."""
    start = printed.find("{\n")
    try:
        return json.loads(printed[start:]) if start >= 0 else None
    except ValueError:
        return None

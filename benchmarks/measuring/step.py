"""Steps of a measurement that must end in time: commands in processes of their own, and a record whatever happens."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GRACE_S = 5
_LEAST_S = 1
_TAIL_LINES = 5


@dataclass(frozen=True)
class Command:
    """One program of a step.

    weight: its share of the step's time. output: the record it writes; None where it prints its record, or has none.
    inputs: appended to the command, those that are there when it starts; without any it cannot run.
    unavailable: why it cannot run here, None where it can.
    """

    arguments: tuple[str, ...]
    weight: float = 1
    output: Path | None = None
    inputs: tuple[Path, ...] = ()
    unavailable: str | None = None


@dataclass(frozen=True)
class Step:
    """What leaves one record: gpu_NAME.json. weight: its share of the whole time."""

    name: str
    what: str
    weight: float
    commands: tuple[Command, ...]


def shares(weights: Sequence[float], *, left_s: float) -> float:
    """How long the first of these may take: its share of the time that is left. What it leaves goes to the others."""
    return left_s * weights[0] / sum(weights)


def run_step(
    step: Step, *, budget_s: float, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
) -> dict[str, Any]:
    """Run the commands one after the other within the budget.

    Returns what the record holds: of each command its line, seconds, error sentence or None, and its own record.
    """
    start = clock()
    found = []
    for index, command in enumerate(step.commands):
        left_s = max(0.0, budget_s - (clock() - start))
        weights = [one.weight for one in step.commands[index:]]
        found.append(_run(command, limit_s=shares(weights, left_s=left_s), environment=environment, clock=clock))
    return {
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
    line = [*command.arguments, *map(str, inputs)]
    shown = {"command": " ".join(line), "limit_s": round(limit_s, 1)}
    reason = command.unavailable
    if reason is None and command.inputs and not inputs:
        reason = f"none of its inputs was made: {', '.join(path.name for path in command.inputs)}"
    if reason is None and limit_s < _LEAST_S:
        reason = "no time was left for it"
    if reason is not None:
        return shown | {"seconds": 0.0, "error": f"not run: {reason}", "record": None}
    start = clock()
    code, printed, complaints = _in_own_group(line, limit_s=limit_s, environment=environment)
    record = _read(command.output) if command.output else _parse(printed)
    error = _sentence(code, complaints, limit_s=limit_s)
    return shown | {"seconds": round(clock() - start, 1), "error": error, "record": record}


def _in_own_group(
    line: Sequence[str], *, limit_s: float, environment: Mapping[str, str]
) -> tuple[int | None, str, str]:
    """Exit code, None if it had to be stopped with all its children; what it printed, and its complaints."""
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
    """A record that was printed, perhaps after other lines."""
    start = printed.find("{\n")
    try:
        return json.loads(printed[start:]) if start >= 0 else None
    except ValueError:
        return None

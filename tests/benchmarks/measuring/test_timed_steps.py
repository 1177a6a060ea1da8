"""Steps that must end in time and leave their reason."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.measuring.timed_steps import LIMIT_S, Command, Step, allot_seconds, run_step


def python(code: str) -> tuple[str, ...]:
    """The command line of a short program."""
    return (sys.executable, "-c", code)


def run(*commands: Command, budget_s: float = 20) -> list[dict[str, object]]:
    """What became of the commands of one step."""
    environments = {sys.executable: os.environ}
    *_, found = run_step(Step("try", "a try", 1, commands), budget_s=budget_s, environments=environments)
    listed: list[dict[str, object]] = found["commands"]
    assert found["errors"] == [one["error"] for one in listed if one["error"]]
    return listed


def test_time_is_shared_by_weight_and_what_is_left_goes_on() -> None:
    """Of 12 minutes a third of the weights gets 4, three quarters get 9, and the last one gets what is left."""
    assert allot_seconds([1, 1, 1], left_s=12) == 4
    assert allot_seconds([3, 1], left_s=12) == 9
    assert allot_seconds([1], left_s=7) == 7


def test_records_are_kept_whether_written_or_printed(tmp_path: Path) -> None:
    """A program may show progress before it prints its record."""
    path = tmp_path / "record.json"
    printed, written = run(
        Command(python("import json; print('progress'); print(json.dumps({'a': 1}, indent=2))")),
        Command(python(f"open({str(path)!r}, 'w').write('{{\"b\": 2}}')"), output=path),
    )
    assert (printed["record"], printed["error"]) == ({"a": 1}, None)
    assert (written["record"], written["error"]) == ({"b": 2}, None)


def test_a_failure_leaves_its_sentence_and_the_next_command_runs() -> None:
    """`does not run on this chip` is a finding too."""
    failed, ran = run(
        Command(python("import sys; sys.exit('error: no kernel for this chip')")), Command(python("print('{\\n}')"))
    )
    assert failed["error"] == "no kernel for this chip"
    assert (ran["error"], ran["record"]) == (None, {})


def test_what_takes_too_long_is_stopped_with_all_its_children(tmp_path: Path) -> None:
    """At its share of the time: half of 2.5 seconds. A child would go on and take the GPU from the next step."""
    alive = tmp_path / "alive"
    child = f"import time, pathlib; time.sleep(3); pathlib.Path({str(alive)!r}).touch()"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    start = time.monotonic()
    stopped, ran = run(Command(python(parent)), Command(python("print('{\\n}')")), budget_s=2.5)
    assert time.monotonic() - start < 3
    assert str(stopped["error"]).startswith("stopped after its 1 s")
    assert ran["record"] == {}
    time.sleep(3.2 - (time.monotonic() - start))
    assert not alive.exists()


def test_what_cannot_run_here_is_not_started(tmp_path: Path) -> None:
    """It takes no time from the others, and the record says why."""
    missing = Command(python("1/0"), inputs=(tmp_path / "model.engine",))
    [unavailable, without] = run(Command(python("1/0"), unavailable="no CUDA device"), missing)
    assert unavailable["error"] == "not run: no CUDA device"
    assert without["error"] == "not run: none of its inputs was made: model.engine"
    [late] = run(Command(python("1/0")), budget_s=0)
    assert late["error"] == "not run: no time was left for it"


def test_inputs_that_were_made_are_given_to_the_command(tmp_path: Path) -> None:
    """The others are left out."""
    made = tmp_path / "made.onnx"
    made.touch()
    code = "import json, sys; print(json.dumps({'found': sys.argv[1:]}, indent=2))"
    [found] = run(Command(python(code), inputs=(made, tmp_path / "missing.onnx")))
    assert found["record"] == json.loads(json.dumps({"found": [str(made)]}))


def test_what_is_made_already_is_not_made_again(tmp_path: Path) -> None:
    """Its record from then is the record."""
    path = tmp_path / "made.json"
    path.write_text('{"a": 1}')
    [found] = run(Command(python("1/0"), output=path, makes=(path,)))
    assert (found["error"], found["record"], found["seconds"]) == (None, {"a": 1}, 0)
    [found] = run(Command(python("1/0"), makes=(path, tmp_path / "missing")))
    assert "ZeroDivisionError" in str(found["error"])


def test_a_command_may_know_its_time() -> None:
    """LIMIT_S in its arguments becomes its share in seconds, so that it can plan how much it does."""
    [found] = run(Command(python(f"print('{{\\n\"given\": {LIMIT_S}}}')")), budget_s=20)
    assert found["record"] == {"given": 20}


def test_each_interpreter_has_its_environment_and_each_command_its_place_in_the_record() -> None:
    """What was found is yielded after every command: a run that is stopped leaves it."""
    code = "import json, os; print(json.dumps({'seen': os.environ.get('SEEN')}, indent=2))"
    other = f"{Path(sys.executable).parent}/./{Path(sys.executable).name}"
    commands = (Command(python(code)), Command((other, "-c", code)))
    environments = {sys.executable: dict(os.environ) | {"SEEN": "own"}, other: dict(os.environ) | {"SEEN": "other"}}
    records = []
    for found in run_step(Step("try", "a try", 1, commands), budget_s=20, environments=environments):
        records.append([one["record"] for one in found["commands"]])
    assert records == [[{"seen": "own"}], [{"seen": "own"}, {"seen": "other"}]]


@pytest.mark.parametrize("code", ["print('no record')", "print('{\\n broken')"])
def test_a_command_without_a_record_has_none(code: str) -> None:
    """Nothing is made up."""
    assert run(Command(python(code)))[0]["record"] is None

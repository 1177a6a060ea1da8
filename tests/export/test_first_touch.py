"""What the scripts of export and calibration say to somebody who types them without arguments."""

import shlex
from importlib import import_module

import pytest

from tests.conftest import ROOT

SCRIPTS = (
    "calibration.quantize",
    "calibration.select_images",
    "export.adopt",
    "export.build_engine",
    "export.compare",
    "export.acceptance.pack_images",
    "export.building.make_bundle",
    "export.building.sensitivity",
    "export.to_onnx",
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_typed_bare_a_script_teaches_in_three_lines(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does, a command that it takes, what comes next; the files that the command names are there."""
    module = import_module(name)
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", [f"{name.replace('.', '/')}.py"])
    with pytest.raises(SystemExit) as caught:
        module.main([])
    assert caught.value.code == 2
    purpose, attempt, following = capsys.readouterr().err.splitlines()
    assert purpose == module.__doc__
    assert following.startswith("next: ")
    python, script, *arguments = shlex.split(attempt.removeprefix("try:"))
    assert (python, script) == ("python", f"{name.replace('.', '/')}.py")
    module._parser().parse_args(arguments)
    models = [argument for argument in arguments if "edge_runtime" in argument]
    assert [model for model in models if not (ROOT / model).is_file()] == []

"""How entry scripts teach and end."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from edge_runtime.contract.script import ScriptParser, Terminated, command_name, replace_file, run, shipped_model
from tests.conftest import ROOT


def test_an_exit_code_is_passed_on() -> None:
    """What main returns is what the shell sees."""
    assert run(lambda: 2) == 2


def test_a_reid_error_is_one_sentence_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """A user reads what is wrong, never a traceback."""

    def main() -> int:
        raise DataError("the folder x is empty; give a folder of images")

    assert run(main) == 1
    assert capsys.readouterr().err == "error: the folder x is empty; give a folder of images\n"


def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever a script meets a missing permission or a full disk, the user reads which file and why."""

    def main() -> int:
        return len(tmp_path.read_bytes())

    assert run(main) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: Is a directory\n"


def test_of_two_files_the_one_that_was_written_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A copy fails with both names, and the full disk is the second one's."""

    def main() -> int:
        raise OSError(28, "No space left on device", "model.onnx", None, "full/engine.onnx")

    assert run(main) == 1
    assert capsys.readouterr().err == "error: full/engine.onnx: No space left on device\n"


@pytest.mark.parametrize(
    ("stop", "code", "sentence"),
    [
        (KeyboardInterrupt(), 130, "stopped by the user"),
        (Terminated("stopped in epoch 3"), 143, "stopped in epoch 3"),
    ],
)
def test_a_stop_by_hand_is_no_fault(
    stop: KeyboardInterrupt, code: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C and SIGTERM end with the shell's exit codes and one sentence, no traceback."""

    def main() -> int:
        raise stop

    assert run(main) == code
    assert capsys.readouterr().err == f"{sentence}\n"


def test_a_library_that_is_not_installed_is_named_with_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    """The user reads what to install; a missing module of our own stays a bug."""

    def missing(name: str) -> int:
        raise ModuleNotFoundError(name=name)

    assert run(lambda: missing("torch.nn")) == 2
    assert (
        capsys.readouterr().err
        == "error: this needs torch.nn, which is not installed: pip install 'reid-edge[train]'\n"
    )
    with pytest.raises(ModuleNotFoundError):
        run(lambda: missing("train.nothing"))


def test_our_own_bugs_are_not_hidden() -> None:
    """Only errors a user can act on become a sentence."""

    def main() -> int:
        raise AssertionError

    with pytest.raises(AssertionError):
        run(main)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """By text or by bytes, and nothing else is left in its folder."""
    path = tmp_path / "record.json"
    for content in ("längerer Text\n", b"short"):
        replace_file(path, content)
        assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Here a folder bears its name: the error reaches the caller, the half-written file is gone."""
    (tmp_path / "record.json").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "record.json", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


def parser() -> ScriptParser:
    made = ScriptParser(purpose="Weigh a crop.", shortest="a.jpg", next_step="README.md", examples="", prog="weigh")
    made.add_argument("crop")
    return made


def test_a_script_typed_bare_teaches_in_three_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does, the shortest command that works, and where the next one stands."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "Weigh a crop.\ntry:  weigh a.jpg\nnext: README.md; weigh --help\n"


def test_a_wrong_option_is_named_before_the_command_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    """Three lines again, not fifteen of usage."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["a.jpg", "--kilos"])
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "error: unrecognized arguments: --kilos"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("/repo/train/run.py", "python train/run.py"),
        (str(ROOT / "export/building/sensitivity.py"), "python export/building/sensitivity.py"),
        ("/usr/bin/reid-train", "reid-train"),
    ],
)
def test_a_command_is_called_as_the_user_called_it(program: str, name: str) -> None:
    """A script of the checkout and an installed command."""
    assert command_name(program) == name


def test_the_shipped_models_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that names them works where it is typed, and is short in the checkout."""
    monkeypatch.chdir(ROOT)
    assert shipped_model() == "edge_runtime/models/osnet_x0_25.onnx"
    monkeypatch.chdir(tmp_path)
    assert Path(shipped_model()).is_file()
    assert Path(shipped_model(precision="int8")).is_file()

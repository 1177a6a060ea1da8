"""Several runs in one picture: what they have in common stands in one panel."""

import json
from pathlib import Path

import pytest

from edge_runtime.contract.errors import DataError
from train.pictures.curves import arrange_panels, draw_comparison


def write_run(folder: Path, rows: list[dict[str, object]]) -> Path:
    """A run folder with a log of these rows."""
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def row(epoch: int, **more: object) -> dict[str, object]:
    """A line of a log."""
    return {"epoch": epoch, "loss": 1 / epoch, "accuracy": 0.5, "learning_rate": 0.1, **more}


def test_a_panel_holds_a_figure_of_every_run_that_has_it() -> None:
    """Total loss, every other loss and every score by its own name."""
    first = {"loss": {"total": [(1, 2.0)], "triplet": [(1, 0.5)]}, "scores": {"mean_ap": [(1, 0.3)]}}
    second = {"loss": {"total": [(1, 3.0)]}, "learning rate": {"": [(1, 0.1)]}}
    assert arrange_panels({"one": first, "other": second}) == {
        "loss": {"one": [(1, 2.0)], "other": [(1, 3.0)]},
        "loss: triplet": {"one": [(1, 0.5)]},
        "scores: mean ap": {"one": [(1, 0.3)]},
        "learning rate": {"other": [(1, 0.1)]},
    }


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """Two folders that are called alike, with different scores and lengths, go into one picture."""
    runs = [
        write_run(tmp_path / "a" / "run", [row(1), row(2, scores={"rank1": 0.5})]),
        write_run(tmp_path / "b" / "run", [row(1, losses={"triplet": 0.2})]),
    ]
    draw_comparison(runs, tmp_path / "picture.svg")
    drawn = (tmp_path / "picture.svg").read_text()
    for text in (*map(str, runs), "loss: triplet", "scores: rank1", "training accuracy"):
        assert f"<!-- {text} -->" in drawn


@pytest.mark.parametrize("text", ['{"epoch": 1, "lo', '{"epoch": 1}\n', "[1]\n"])
def test_a_broken_log_is_refused(text: str, tmp_path: Path) -> None:
    """Cut short, or of another program."""
    (tmp_path / "log.jsonl").write_text(text)
    with pytest.raises(DataError, match=r"log\.jsonl is not the log of a run, or was cut short"):
        draw_comparison([tmp_path], tmp_path / "picture.png")


def test_a_run_without_an_epoch_or_a_log_is_refused(tmp_path: Path) -> None:
    """Nothing was logged yet, or the folder is none of a run."""
    with pytest.raises(DataError, match=r"expected a run's log at .*, found none; give run folders"):
        draw_comparison([tmp_path], tmp_path / "picture.png")
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(DataError, match="holds no finished epoch yet"):
        draw_comparison([tmp_path], tmp_path / "picture.png")

"""What counts as a crop of one person, and that the record says what the daemon does."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.best_shots import Moment, judge, main
from benchmarks.measuring.records import RECORDS, read_record
from benchmarks.measuring.tracking_scores import TrackedFrame

ANN = (0.0, 0.0, 100.0, 200.0)


def truth(*boxes: tuple[float, float, float, float]) -> TrackedFrame:
    """True people 7, 8, ..."""
    return TrackedFrame(7 + np.arange(len(boxes)), np.array(boxes, np.float64).reshape(-1, 4))


def test_a_crop_is_clean_if_it_shows_one_person_and_not_much_of_another() -> None:
    """By shares worked out by hand."""
    assert judge(ANN, truth()) == Moment(False, False, False, None)
    assert judge(ANN, truth(ANN)) == Moment(True, True, True, 7)
    assert judge(ANN, truth((60, 0, 160, 200))) == Moment(False, False, False, None)  # IoU 0.25
    assert judge(ANN, truth(ANN, (71, 0, 171, 200))) == Moment(True, True, True, 7)
    assert judge(ANN, truth(ANN, (69, 0, 169, 200))) == Moment(True, False, False, None)
    assert judge(ANN, truth((10, 10, 30, 50), ANN)) == Moment(True, True, False, 8)  # small, but all of it is inside


@pytest.mark.shared_data
def test_nine_of_ten_descriptors_show_one_person(shared_data: Path, tmp_path: Path) -> None:
    """By the record of both clips, at every rate; run again on the shorter one, which is the harder one."""
    for name in ("TUD-Campus.webm", "TUD-Campus.gt.txt"):
        (tmp_path / name).symlink_to(shared_data / "tud" / name)
    output = tmp_path / "record.json"
    detector = shared_data / "yolox_nano.onnx"
    assert main(["--clips", str(tmp_path), "--detector", str(detector), "--rates", "10", "--output", str(output)]) == 0
    before, _, now, _ = read_record(output)["figures"]
    assert now["clean"] >= before["clean"] + 0.1
    assert now["well_described"] >= before["well_described"] - 1
    recorded = read_record(RECORDS / "cpu-epyc" / "best_shots.json")["figures"]
    assert all(one["clean"] >= 0.9 for one in recorded if (one["way"], one["clip"]) == ("now", "all"))

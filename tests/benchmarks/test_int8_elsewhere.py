"""What INT8 loses on people it was not calibrated on."""

from pathlib import Path

import pytest

from benchmarks.int8_elsewhere import main
from benchmarks.measuring.records import read_record
from benchmarks.reporting.accuracy_tables import int8_elsewhere_table
from calibration import select_images
from edge_runtime.contract.errors import ConfigError
from tests.benchmarks.test_street import write_clip
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import write_tiny_network


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """A network, and where its calibration images are."""
    data, images = write_market_folder(tmp_path / "patterns"), tmp_path / "list.json"
    assert select_images.main([str(data), "--output", str(images), "--count", "20"]) == 0
    return [str(write_tiny_network(tmp_path)), "--calibration", str(images), "--data", str(data)]


def test_every_rule_is_scored_on_every_set_of_people(given: list[str], tmp_path: Path) -> None:
    """Data set and clip; each change stands between its limits, and the table has a row for each."""
    video, truth = write_clip(tmp_path)
    output = tmp_path / "record.json"
    people = ["--elsewhere", given[-1], "--clip", str(video), str(truth), "--clip-name", "street"]
    assert main([*given, *people, "--methods", "max", "mse", "--output", str(output)]) == 0
    rows = read_record(output)["rows"]
    assert [(row["method"], row["people"]) for row in rows] == [
        (method, name) for method in ("max", "mse") for name in ("patterns", "street")
    ]
    for row in rows:
        assert row["float_rank1"] > 0.5
        assert row["to_float"]["cosine_mean"] > 0.99
        for change in (row["rank1_change"], row["mean_ap_change"]):
            assert change["low"] <= change["value"] <= change["high"]
    assert len(int8_elsewhere_table([output]).splitlines()) == 2 + len(rows)


def test_without_people_there_is_nothing_to_lose(given: list[str]) -> None:
    """It says what to add."""
    with pytest.raises(ConfigError, match="add --elsewhere DATA, or --clip VIDEO TRUTH"):
        main(given)

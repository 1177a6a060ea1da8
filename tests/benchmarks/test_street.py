"""Networks are scored on clips with ground truth, and the record says on which."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks import street
from tests.support.market_folder import pattern
from tests.support.tiny_network import write_tiny_network

PEOPLE, FRAMES, PER_SECOND = 6, 33, 8


def write_clip(folder: Path) -> tuple[Path, Path]:
    """Colour patterns side by side for four seconds, and where they are."""
    video, truth = folder / "clip.avi", folder / "gt.txt"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), PER_SECOND, (48 * PEOPLE, 96))
    lines = []
    for frame in range(1, FRAMES + 1):
        people = [pattern(person, camera=1, copy=frame) for person in range(PEOPLE)]
        writer.write(cv2.cvtColor(np.concatenate(people, axis=1), cv2.COLOR_RGB2BGR))
        lines += [f"{frame},{person + 1},{48 * person},0,48,96,1" for person in range(PEOPLE)]
    writer.release()
    truth.write_text("\n".join(lines))
    return video, truth


def test_a_network_is_scored_on_a_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Six people that look alike in every frame are found; every figure stands between its limits."""
    video, truth = write_clip(tmp_path)
    model, output = write_tiny_network(tmp_path), tmp_path / "street.json"
    arguments = [str(model), "--clip", str(video), str(truth), "--clip-name", "patterns", "--output", str(output)]
    assert street.main(arguments) == 0
    assert "6 people, 54 crops; own second left out" in capsys.readouterr().out
    record = json.loads(output.read_text())
    assert (record["benchmark"], record["data_set"], record["crops"]) == ("street", "patterns", 54)
    (row,) = record["rows"]
    assert row["queries"] == 54
    assert row["rank1"]["value"] > 0.5
    for figure in (row["rank1"], row["mean_ap"], row["true_pairs"]):
        assert 0 <= figure["low"] <= figure["value"] <= figure["high"] <= 1

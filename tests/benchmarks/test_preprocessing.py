"""Cropping is timed beside loops that make the same pictures. No speed is asserted."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import preprocessing
from benchmarks.peers.chain_workers import (
    MEAN,
    STD,
    crop_like_tracker,
    crop_with_numpy,
    crop_with_pil,
    crop_with_torch,
    make_scene,
)
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.preprocess import crop_people


def test_all_loops_make_the_same_pictures() -> None:
    """Else the times could not be compared: the peers' are ours normalised; PIL smooths where it shrinks."""
    frame, boxes = make_scene(3)
    ours = crop_people(frame, boxes, height_px=64, width_px=32, rule="bilinear-half-pixel")
    planes = ((ours.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    for make in (crop_with_torch, crop_like_tracker, crop_with_numpy):
        np.testing.assert_allclose(np.asarray(make(frame, boxes, size=(64, 32))), planes, atol=1e-5)
    smoothed = crop_with_pil(frame, boxes, size=(64, 32)).numpy()
    assert smoothed.shape == planes.shape
    assert np.corrcoef(smoothed.ravel(), planes.ravel())[0, 1] > 0.8


def test_the_record_has_every_way_at_every_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ours is the measure of the others."""
    output = tmp_path / "record.json"
    assert preprocessing.main(["--batches", "1", "2", "--rounds", "1", "--output", str(output)]) == 0
    timings = json.loads(output.read_text())["timings"]
    assert [one["batch"] for one in timings] == [1] * 5 + [2] * 5
    assert len({one["way"] for one in timings}) == 5
    assert [one["times_ours"] for one in timings if one["way"] == "ours"] == [1.0, 1.0]
    assert "x ours" in capsys.readouterr().out


def test_no_rounds_are_refused() -> None:
    """There would be no median."""
    with pytest.raises(ConfigError, match="expected --rounds and --batches of at least 1"):
        preprocessing.main(["--rounds", "0"])

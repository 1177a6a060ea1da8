"""The training benchmark measures both loops on the same images and writes down how. No speed is asserted."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks import train_speed
from edge_runtime.contract.errors import ConfigError
from train.machine.mixed_precision import precision_for

TINY = ["--networks", "osnet_x0_25", "--sizes", "64x32", "--rounds", "1", "--steps", "1", "--batch", "4"]


def test_both_loops_run_and_the_record_names_the_peer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an environment that has Torchreid its loop is written again, and is called so; ours is timed in float32,
    too, as the peer is.
    """
    output = tmp_path / "record.json"
    assert train_speed.main([*TINY, "--threads", "1", "--output", str(output)]) == 0
    record = json.loads(output.read_text())
    assert record["peer"] == "torchreid's loop, written again"
    loops = [(speed["loop"], speed["times_peer"]) for speed in record["speeds"]]
    assert loops[0] == (record["peer"], 1.0)
    usual = str(precision_for(torch.device("cpu"))).removeprefix("torch.")
    assert [loop for loop, _ in loops[1:]] == [f"reid-edge, {name}" for name in dict.fromkeys([usual, "float32"])]
    assert "x peer" in capsys.readouterr().out


def test_a_loop_that_fails_is_said_with_its_own_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as an interpreter that has no Torchreid; what was measured before stands in the record."""
    data = tmp_path / "record.json"
    monkeypatch.setattr(train_speed, "_our_loops", lambda compiles: ["ours"])
    with pytest.raises(ConfigError, match=r"the loop torchreid failed on osnet_x0_25: .*; try it alone"):
        train_speed.main([*TINY, "--peer-python", "/bin/false", "--output", str(data)])
    [speed] = json.loads(data.read_text())["speeds"]
    assert speed["loop"].startswith("reid-edge, ")
    assert speed["times_peer"] is None

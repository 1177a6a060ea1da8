"""The chain from boxes to descriptors, ours and the peers', each in a process of its own. No speed is asserted."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import chain
from benchmarks.peers.chain_workers import WAYS, make_scene, open_ours
from edge_runtime.contract.errors import ConfigError

MODELS = Path(__file__).resolve().parents[2] / "edge_runtime" / "models"
ENGINE = MODELS / "osnet_x0_25.onnx"


def test_the_record_has_every_way_and_the_ratio_of_each_to_each_peer(tmp_path: Path) -> None:
    """A ratio is the peer's time over the way's own, so a peer's ratio to itself is 1."""
    output = tmp_path / "record.json"
    settings = ["--batches", "2", "--rounds", "1", "--seconds", "0.05", "--output", str(output)]
    assert chain.main([str(ENGINE), *settings]) == 0
    timings = {one["way"]: one for one in json.loads(output.read_text())["timings"]}
    peers = set(WAYS) - {"engine"}
    assert set(timings) == peers | {"onnxruntime fp32"}
    for one in timings.values():
        for peer in peers:
            assert one["faster_than"][peer] == pytest.approx(timings[peer]["median_ms"] / one["median_ms"], abs=0.02)


def test_ours_describes_every_box() -> None:
    """As many unit rows as people."""
    frame, boxes = make_scene(3)
    rows = open_ours(ENGINE, size=(256, 128), threads=1)(frame, boxes)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), np.ones(3), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([str(ENGINE), str(ENGINE)], "expected engines that differ in backend or precision"),
        ([str(ENGINE), "--rounds", "0"], "expected --rounds and --batches of at least 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], sentence: str) -> None:
    """Before anything is timed."""
    with pytest.raises(ConfigError, match=sentence):
        chain.main(arguments)

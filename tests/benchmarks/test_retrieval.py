"""The retrieval benchmark's record; nothing here asserts a speed or a size."""

import json
from pathlib import Path

import pytest

from benchmarks.retrieval import main
from edge_runtime.contract.errors import ConfigError


def test_the_plain_references_find_the_same_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Times are compared only between ways to the same answer; the record says where and how they were taken."""
    path = tmp_path / "records" / "retrieval.json"  # a fresh clone has no folder of records
    assert main(["--small", "--rounds", "1", "--output", str(path)]) == 0
    record = json.loads(path.read_text())
    assert record["device"]
    assert record["commit"]
    assert {"python", "numpy"} <= set(record["versions"])
    ranking, plain_ranking, reranking, plain_reranking = record["runs"]
    assert ranking["mean_ap"] == pytest.approx(plain_ranking["mean_ap"], abs=1e-4)
    assert reranking["mean_ap"] == pytest.approx(plain_reranking["mean_ap"], abs=1e-4)
    assert 0.5 < ranking["mean_ap"] < reranking["mean_ap"] < 1
    said = capsys.readouterr().out
    for run in record["runs"]:
        assert run["job"] in said
        assert run["peak_mib"] > 10
        assert 0 <= run["distances_s"] <= run["seconds"]


def test_no_rounds_are_refused() -> None:
    """There would be nothing to write down."""
    with pytest.raises(ConfigError, match="expected at least 1 round, found --rounds 0"):
        main(["--rounds", "0"])

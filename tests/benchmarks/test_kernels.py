"""Kernels are counted in what a real TensorRT builder makes of a network, without a GPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.reporting.kernel_tables import kernel_table
from tests.support.tensorrt_site import ROOT, SiteUnavailableError, builder_site, environment
from tests.support.tiny_network import write_tiny_network


@pytest.mark.timeout(600)  # the first run downloads about 150 MB
def test_the_builders_own_list_is_counted(tmp_path: Path) -> None:
    """At least one kernel per convolution on the longest path, and fewer than there are nodes."""
    try:
        site = builder_site()
    except SiteUnavailableError as reason:  # `make test` takes no such skip
        pytest.skip(str(reason))
    model, output = write_tiny_network(tmp_path), tmp_path / "record.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/kernels.py", str(model), "--batch", "2", "--output", str(output)],
        env={**environment(site), "PYTHONPATH": f"{site}:{ROOT}"},
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(output.read_text())
    [count] = record["counts"]
    assert (record["batch"], count["precision"]) == (2, "fp32")
    assert 4 <= count["kernels"] <= 30


def test_the_table_has_a_row_for_each_graph() -> None:
    """A precision that was not counted is left empty."""
    counts = [
        {"network": "net", "graph": graph, "precision": precision, "kept_in_float": [], "kernels": kernels}
        for graph, precision, kernels in (("plain", "fp16", 9), ("plain", "int8", 12), ("end", "fp16", 5))
    ]
    assert kernel_table({"counts": counts}).splitlines()[2:] == ["| net | plain | 9 | 12 |", "| net | end | 5 |  |"]

"""The smoke test leaves a record whatever happens."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.engine.tensorrt.cuda import driver_unavailable
from tests.support.tensorrt_site import ROOT
from tests.support.tiny_network import write_tiny_network

# A module that is None cannot be imported, as if it were not installed.
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from tensorrt_smoke import main, run; sys.exit(run(main))"


@pytest.mark.gpu
@pytest.mark.skipif(driver_unavailable() is None, reason="is about machines without an NVIDIA driver, this has one")
def test_a_machine_that_cannot_run_tensorrt_leaves_its_reason(tmp_path: Path) -> None:
    """An engine that could not be built or run is a finding: it stands in the record, and the exit code is 1.

    All of it without torch.
    """
    output = tmp_path / "records" / "smoke.json"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(write_tiny_network(tmp_path)), "--output", str(output)],
        env=dict(os.environ) | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'benchmarks'}"},
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    [result] = json.loads(output.read_text())["results"]
    assert (result["model"], result["precision"]) == (f"{tmp_path.name}/tiny.onnx", "fp32")
    assert "TensorRT" in result["error"]

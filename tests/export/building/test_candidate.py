"""Verdict and table of engines on trial."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.contract.manifest import Build, Input, read_manifest
from export.acceptance.acceptance_images import images_of_data
from export.acceptance.comparison import compare
from export.building.build import Plan, make_plan
from export.building.candidate import Trial, time_engines, trials_as_table
from export.building.request import Request, Source
from export.building.tensorrt_builder import Batch
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, write_tiny_network
from train.datasets.catalog import open_folder


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """INT8 by name, the float32 network in truth; half as fast as its parent."""
    model = write_tiny_network(tmp_path)
    data = open_folder(write_market_folder(tmp_path / "patterns"))
    comparison = compare(model, model, images_of_data(data, Input(height_px=HEIGHT_PX, width_px=WIDTH_PX)))
    source = Source(model, model, None, None, Batch(1, 4, 8))
    plan = make_plan(Request(source, "fp32", "onnxruntime"), tmp_path, output=None)
    return Trial(_named(plan, "int8"), model, read_manifest(model), comparison, None, 4.0, 2.0)


def _named(plan: Plan, precision: str) -> Plan:
    return replace(plan, build=Build.model_validate(plan.build.model_dump() | {"precision": precision}))


def test_slower_than_float32_is_a_fault_unless_it_is_allowed(trial: Trial) -> None:
    """Float32 itself may be as slow as it is: there is nothing to fall back to."""
    assert "is slower than its float32 parent: 4.00 ms" in (trial.fault(allow_slower=False) or "")
    assert trial.fault(allow_slower=True) is None
    assert replace(trial, median_ms=1.9).fault(allow_slower=False) is None
    assert replace(trial, plan=_named(trial.plan, "fp32")).fault(allow_slower=False) is None


def test_what_loses_too_much_is_refused_however_fast(trial: Trial) -> None:
    """And the flag for slow engines does not let it pass."""
    lossy = replace(trial, excess="9 points of mAP lost", median_ms=0.1)
    fault = lossy.fault(allow_slower=True) or ""
    assert fault.startswith("is not good enough: 9 points of mAP lost; let export/sensitivity.py measure")
    half = replace(lossy, plan=_named(trial.plan, "fp16"))
    assert half.fault(allow_slower=True) == "is not good enough: 9 points of mAP lost"


def test_the_table_names_every_engine_fastest_first(trial: Trial) -> None:
    """Time, times float32, losses and verdict."""
    fast = replace(trial, plan=_named(trial.plan, "fp16"), median_ms=1.0, excess="9 points of mAP lost")
    lines = trials_as_table([trial, fast], measured="by hand").splitlines()
    assert " ".join(lines[1].split()) == "fp16 onnxruntime 1.00 2.00 0.00 0.00 0.00000 9 points of mAP lost"
    assert " ".join(lines[2].split()) == "int8 onnxruntime 4.00 0.50 0.00 0.00 0.00000 good enough"
    assert lines[3] == "by hand"


def test_every_engine_is_timed(trial: Trial) -> None:
    """The parent first, then the candidates in their order; what the machine was is said."""
    medians, measured = time_engines(trial.candidate, [trial.candidate, trial.candidate], batch=2)
    assert len(medians) == 3
    assert min(medians) > 0
    assert measured.startswith("batches of 2, one thread of ")
    assert "float32 by onnxruntime" in measured

"""What can be built, and on what."""

from pathlib import Path
from typing import get_args

import pytest

from calibration.precision_plan import TargetBackend
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Precision
from export.building.backends import BACKENDS, choose_backend
from export.building.engine_source import EngineSource, list_kinds
from export.building.tensorrt_builder import tensorrt_unavailable
from tests.support.tiny_network import write_tiny_network


@pytest.fixture
def source(tmp_path: Path) -> EngineSource:
    """A float32 network, nothing beside it and no calibration images."""
    model = write_tiny_network(tmp_path)
    return EngineSource(model, model)


def test_every_backend_has_a_complete_row() -> None:
    """A backend that networks can be quantised for has its precisions here; `--best` tries none that it cannot run."""
    assert set(BACKENDS) == set(get_args(TargetBackend))
    for row in BACKENDS.values():
        assert set(row.tried_by_best) <= set(row.precisions) <= set(get_args(Precision))
        assert row.suffix.startswith(".")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_precision_that_a_backend_does_not_run_is_refused_with_one_that_does(backend: TargetBackend) -> None:
    """Before anything is built."""
    for precision in ("fp32", "fp16", "bf16", "int8"):
        if precision not in BACKENDS[backend].precisions:
            able = " and ".join(name for name, row in BACKENDS.items() if precision in row.precisions)
            with pytest.raises(ExportError, match=f"{backend} runs no {precision} engines; take --backend {able}"):
                choose_backend(backend, precision)


def test_best_says_what_it_does_not_try_and_why(source: EngineSource, capsys: pytest.CaptureFixture[str]) -> None:
    """INT8 needs a list; half precision on ONNX Runtime is not worth the time and not named."""
    tried = {(kind.backend, kind.precision) for kind in list_kinds(source, "auto")}
    said = capsys.readouterr().out
    assert ("onnxruntime", "fp32") in tried
    assert not {precision for _, precision in tried} & {"int8", "fp16"}
    assert "not tried: int8 onnxruntime (needs --calibration LIST)" in said
    if BACKENDS["openvino"].why_unavailable() is None:
        assert {("openvino", "fp32"), ("openvino", "bf16")} <= tried


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_best_of_a_backend_that_is_not_there_is_an_error(source: EngineSource) -> None:
    """The backend that was asked for is named; no other one is taken instead."""
    with pytest.raises(ExportError, match="nothing can be built here for tensorrt; take --backend auto"):
        list_kinds(source, "tensorrt")

"""What can be built, and on what."""

from pathlib import Path

import pytest

from edge_runtime.contract.errors import ExportError
from export.building.request import PRECISIONS, Backend, Source, all_requests, choose_backend, unavailable
from export.building.tensorrt_builder import Batch, tensorrt_unavailable
from tests.support.tiny_network import write_tiny_network


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """A float32 network, nothing beside it and no calibration images."""
    model = write_tiny_network(tmp_path)
    return Source(model, model, None, None, Batch(1, 4, 8))


@pytest.mark.parametrize("backend", PRECISIONS)
def test_a_precision_that_a_backend_does_not_run_is_refused_with_one_that_does(backend: Backend) -> None:
    """Before anything is built."""
    for precision in ("fp32", "fp16", "bf16", "int8"):
        if precision not in PRECISIONS[backend]:
            able = " and ".join(name for name, precisions in PRECISIONS.items() if precision in precisions)
            with pytest.raises(ExportError, match=f"{backend} runs no {precision} engines; take --backend {able}"):
                choose_backend(backend, precision)


def test_best_says_what_it_does_not_try_and_why(source: Source, capsys: pytest.CaptureFixture[str]) -> None:
    """INT8 needs a list; half precision on ONNX Runtime is not worth the time and not named."""
    tried = {(request.backend, request.precision) for request in all_requests(source, "auto")}
    said = capsys.readouterr().out
    assert ("onnxruntime", "fp32") in tried
    assert not {precision for _, precision in tried} & {"int8", "fp16"}
    assert "not tried: int8 onnxruntime (needs --calibration LIST)" in said
    if unavailable("openvino") is None:
        assert {("openvino", "fp32"), ("openvino", "bf16")} <= tried


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_best_of_a_backend_that_is_not_there_is_an_error(source: Source) -> None:
    """Rather than a best of nothing."""
    with pytest.raises(ExportError, match="nothing can be built here for tensorrt; take --backend auto"):
        all_requests(source, "tensorrt")

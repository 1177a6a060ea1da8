"""The search for the best engine, and the fallback."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Manifest, read_manifest
from export import build_engine
from export.build_engine import main
from export.building.engine_build import EngineBuild, make_engine
from export.building.tensorrt_builder import tensorrt_unavailable
from tests.support.engine_options import ANY_LOSS, ANY_SPEED, CPU


def test_best_keeps_the_fastest_that_is_good_enough(
    model: Path, images: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every candidate is named with its time and loss; what was not tried is named with the reason."""
    pytest.importorskip("openvino")
    monkeypatch.setattr(build_engine, "time_engines", _clock)
    command = [str(model), "--best", "--calibration", str(images), "--data", str(data), *ANY_LOSS]
    assert main(command) == 0
    said = capsys.readouterr().out
    for title in ("fp32 onnxruntime", "int8 onnxruntime", "fp32 openvino", "int8 openvino"):
        assert re.search(rf"^{title} +\d\.00 +\d\.\d\d +-?\d+\.\d\d", said, flags=re.MULTILINE), title
    if tensorrt_unavailable():
        assert "not tried: tensorrt (TensorRT is not available" in said
    assert "tiny_int8_openvino.onnx: int8, backend openvino" in said
    assert read_manifest(model.parent / "tiny_int8_openvino.onnx").build.backend == "openvino"


def _clock(parent: Path, candidates: list[Path], *, batch: int) -> tuple[list[float], str]:
    """INT8 by OpenVINO is made the fastest."""
    return [5.0, *(1.0 if "int8_openvino" in path.name else 4.0 for path in candidates)], "by a made-up clock"


def test_best_does_not_keep_what_loses_too_much(
    model: Path, images: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Float32 stays when INT8 is faster but not good enough."""
    monkeypatch.setattr(build_engine, "time_engines", lambda _, paths, **__: ([5.0, *map(_place, paths)], "made up"))
    command = [str(model), "--best", "--calibration", str(images), "--data", str(data), *CPU]
    assert main([*command, *ANY_LOSS[:4], "--mean-cosine", "0.9999999"]) == 0
    assert read_manifest(model.parent / "tiny_fp32_onnxruntime.onnx").build.precision == "fp32"
    assert not (model.parent / "tiny_int8_onnxruntime.onnx").exists()


def _place(path: Path) -> float:
    return 1.0 if "int8" in path.name else 4.0


def test_a_fallback_is_built_only_when_asked_for_and_said_aloud(
    small_osnet: Path, tmp_path: Path, images: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """INT8 that cannot reach the cosine asked for, and half precision that can."""
    model = shutil.copytree(small_osnet, tmp_path / "models") / "osnet.onnx"
    command = [str(model), "--int8", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS[:4], *ANY_SPEED]
    command += ["--mean-cosine", "0.99", "--least-cosine", "0.9"]
    with pytest.raises(ExportError, match=r"int8 onnxruntime engine is not good enough: mean cosine to float32 0\."):
        main(command)
    assert list(model.parent.glob("*_onnxruntime*")) == []
    assert main([*command, "--fallback", "fp16"]) == 0
    assert "falling back to fp16, as asked with --fallback" in capsys.readouterr().out
    assert read_manifest(model.with_name("osnet_fp16_onnxruntime.onnx")).build.precision == "fp16"


def _refusing(backend: str) -> Callable[..., Manifest]:
    """`make_engine` on a machine whose `backend` builds nothing."""

    def make(build: EngineBuild, path: Path, *, timing_cache: Path) -> Manifest:
        if build.title == backend:
            raise ExportError(f"{backend} cannot build this")
        return make_engine(build, path, timing_cache=timing_cache)

    return make


def test_one_engine_that_cannot_be_built_does_not_end_the_search(
    model: Path, images: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named with its reason, and the best of the others is kept."""
    monkeypatch.setattr(build_engine, "make_engine", _refusing("int8 onnxruntime"))
    command = [str(model), "--best", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS]
    assert main(command) == 0
    assert "int8 onnxruntime: left out: int8 onnxruntime cannot build this" in capsys.readouterr().out
    assert (model.parent / "tiny_fp32_onnxruntime.onnx").exists()


def test_the_fallback_is_for_what_cannot_be_built_too(
    small_osnet: Path, tmp_path: Path, images: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks for another precision means: rather that one than none."""
    model = shutil.copytree(small_osnet, tmp_path / "models") / "osnet.onnx"
    monkeypatch.setattr(build_engine, "make_engine", _refusing("int8 onnxruntime"))
    command = [str(model), "--int8", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS, *ANY_SPEED]
    with pytest.raises(ExportError, match="cannot build this"):
        main(command)
    assert main([*command, "--fallback", "fp16"]) == 0
    assert read_manifest(model.with_name("osnet_fp16_onnxruntime.onnx")).build.precision == "fp16"

"""ONNX file to accepted engine."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import quantize, select_images
from edge_runtime.contract.errors import DataError, ExportError, ManifestError
from edge_runtime.contract.manifest import file_sha256, read_manifest
from edge_runtime.engine.engine import open_engine
from export.build_engine import main
from export.tensorrt_builder import tensorrt_unavailable
from tests.market_folder import write_market_folder
from tests.small_osnet import export_small_osnet
from tests.tensorrt_site import ROOT, environment
from tests.tiny_network import HEIGHT_PX, WIDTH_PX, write_tiny_network

# Few patterns and a network that was never trained: scores jump, and are not what these tests are about.
ANY_LOSS = ("--rank1-points", "100", "--map-points", "100")
NO_LOSS_IS_SMALL_ENOUGH = ("--rank1-points", "-101")
CPU = ("--backend", "onnxruntime")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Colour patterns in Market-1501's layout."""
    return write_market_folder(tmp_path_factory.mktemp("data") / "patterns")


@pytest.fixture(scope="module")
def images(data: Path) -> Path:
    """A calibration list of the patterns."""
    path = data.parent / "list.json"
    assert select_images.main([str(data), "--output", str(path), "--count", "20"]) == 0
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tiny float32 network."""
    return write_tiny_network(tmp_path)


def _build(model: Path, images: Path, data: Path, *options: str) -> int:
    return main([str(model), "--int8", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS, *options])


def test_int8_is_quantised_compared_and_kept(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """One command from a float32 file to an engine that opens, with its evidence beside it."""
    output = tmp_path / "engines" / "tiny_int8.onnx"
    assert _build(model, images, data, "--output", str(output)) == 0
    assert {path.name for path in output.parent.iterdir()} == {"tiny_int8.onnx", "tiny_int8.onnx.json"}
    manifest = read_manifest(output)
    assert (manifest.artefact.kind, manifest.artefact.file) == ("engine", "tiny_int8.onnx")
    assert (manifest.build.backend, manifest.build.precision) == ("onnxruntime", "int8")
    assert manifest.artefact.parent_sha256 == file_sha256(model)
    assert manifest.calibration is not None
    assert manifest.calibration.image_list_sha256 == file_sha256(images)
    assert manifest.evidence is not None
    assert manifest.evidence.to_parent is not None
    assert manifest.evidence.to_parent.cosine_min > 0.99
    with open_engine(output) as engine:
        assert len(engine.describe(np.zeros((2, HEIGHT_PX, WIDTH_PX, 3), np.uint8))) == 2


def test_backend_and_speed_are_said_aloud(
    model: Path, images: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slower than float32 is said as plainly as faster."""
    assert _build(model, images, data) == 0
    said = capsys.readouterr().out
    assert "times as fast as float32 on onnxruntime" in said
    assert "tiny_int8_onnxruntime.onnx: int8, backend onnxruntime" in said


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_without_tensorrt_auto_takes_onnx_runtime_and_says_why(
    model: Path, images: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody should believe that a GPU engine was built."""
    assert _build(model, images, data, "--backend", "auto") == 0
    said = capsys.readouterr().out
    assert "TensorRT is not available (" in said
    assert "): building for ONNX Runtime on the CPU" in said


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_without_tensorrt_asking_for_it_is_an_error(model: Path, images: Path, data: Path) -> None:
    """An explicit wish is never repaired in silence."""
    with pytest.raises(ExportError, match=r"TensorRT is not available: .*--backend onnxruntime"):
        _build(model, images, data, "--backend", "tensorrt")


BUILD = """
import sys
from pathlib import Path
from export.build_engine import Request, build_candidate

model, images, data, candidate = map(Path, sys.argv[1:])
build_candidate(Request(model, model, "int8", "tensorrt", images, data), candidate)
"""


@pytest.mark.timeout(900)  # the first run downloads about 150 MB
def test_tensorrt_gets_signed_int8_and_its_device_is_written_down(
    tensorrt_site: Path, model: Path, images: Path, data: Path, tmp_path: Path
) -> None:
    """Quantised for TensorRT and built by a real builder, up to the comparison, which needs a GPU."""
    candidate = tmp_path / "tiny.engine"
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *map(str, (model, images, data, candidate))],
        env=environment(tensorrt_site), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(candidate)
    assert (manifest.artefact.kind, manifest.artefact.parent_sha256) == ("engine", file_sha256(model))
    assert (manifest.build.backend, manifest.build.precision) == ("tensorrt", "int8")
    assert manifest.build.tensorrt is not None
    assert manifest.build.tensorrt.startswith("11.")
    assert manifest.calibration is not None


def test_an_engine_that_loses_too_much_is_not_written(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """A sentence with the numbers, no manifest, no half-written file; an older engine stays as it was."""
    output = tmp_path / "engines" / "tiny_int8.onnx"
    assert _build(model, images, data, "--output", str(output)) == 0
    before = {path: path.read_bytes() for path in output.parent.iterdir()}
    with pytest.raises(ExportError, match=r"not good enough: -?\d+\.\d\d points of rank-1 lost where at most -101 may"):
        _build(model, images, data, "--output", str(output), *NO_LOSS_IS_SMALL_ENOUGH)
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == before


def test_int8_without_a_list_says_what_to_add(model: Path, data: Path) -> None:
    """Ranges cannot be invented."""
    with pytest.raises(ExportError, match=r"not quantised yet: add --calibration LIST, made with calibration/select"):
        main([str(model), "--int8", "--data", str(data), *CPU])


def test_a_quantised_file_needs_no_list(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """It is compared with the float32 file beside it, found by its manifest."""
    quantised = tmp_path / "by_hand.onnx"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantised)]
    assert quantize.main([str(model), *options]) == 0
    assert main([str(quantised), "--int8", "--data", str(data), *CPU, *ANY_LOSS]) == 0
    engine = tmp_path / "tiny_int8_onnxruntime.onnx"
    assert engine.read_bytes() == quantised.read_bytes()
    assert read_manifest(engine).artefact.parent_sha256 == file_sha256(model)


def test_an_image_list_that_would_not_be_used_is_refused(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """Half precision takes none, and a quantised file has its own; naming that one again does no harm."""
    with pytest.raises(ExportError, match="--calibration is for --int8 only"):
        main([str(model), "--fp16", "--calibration", str(images), "--data", str(data), *CPU])
    quantised, other = tmp_path / "by_hand.onnx", tmp_path / "other.json"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantised)]
    assert quantize.main([str(model), *options]) == 0
    assert select_images.main([str(data), "--output", str(other), "--count", "5"]) == 0
    with pytest.raises(ExportError, match=r"quantised already, with another image list than .*other\.json"):
        _build(quantised, other, data)
    assert _build(quantised, images, data) == 0


def test_a_quantised_file_without_its_parent_is_refused(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """Without float32 there is nothing to measure the loss against."""
    quantised = tmp_path / "by_hand.onnx"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantised)]
    assert quantize.main([str(model), *options]) == 0
    model.unlink()
    with pytest.raises(ExportError, match=r"found no fp32 ONNX file with the weights of .*by_hand\.onnx beside it"):
        main([str(quantised), "--int8", "--data", str(data), *CPU])


def test_half_precision_takes_the_file_beside_the_model(tmp_path: Path, data: Path) -> None:
    """`--fp16` uses what `to_onnx.py --half` wrote, known by its manifest and not by its name."""
    model = export_small_osnet(tmp_path, "--half")
    for suffix in ("", ".json"):
        (tmp_path / f"osnet_fp16.onnx{suffix}").rename(tmp_path / f"half.onnx{suffix}")
    assert main([str(model), "--fp16", "--data", str(data), *CPU, *ANY_LOSS]) == 0
    manifest = read_manifest(tmp_path / "osnet_fp16_onnxruntime.onnx")
    assert manifest.build.precision == "fp16"
    assert manifest.evidence is not None
    assert manifest.evidence.to_parent is not None
    assert manifest.evidence.to_parent.cosine_min > 0.99


def test_half_precision_without_its_file_says_how_to_make_it(model: Path, data: Path) -> None:
    """A float32 file is never converted in silence."""
    with pytest.raises(ExportError, match=r"found no fp16 ONNX file .*export/to_onnx\.py --half"):
        main([str(model), "--fp16", "--data", str(data), *CPU])


def test_the_model_is_not_overwritten(model: Path, images: Path, data: Path) -> None:
    """The parent of the evidence must stay."""
    before = model.read_bytes()
    with pytest.raises(ExportError, match="would replace the model"):
        _build(model, images, data, "--output", str(model))
    assert model.read_bytes() == before


def test_a_folder_as_output_is_refused_first(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """Before minutes of building."""
    with pytest.raises(ExportError, match="expected the name of a file to write, found the folder"):
        _build(model, images, data, "--output", str(tmp_path))


def test_a_damaged_model_is_refused(model: Path, images: Path, data: Path) -> None:
    """Truncated: its manifest's digest no longer agrees."""
    model.write_bytes(model.read_bytes()[:1000])
    with pytest.raises(ManifestError, match="is not the file its manifest describes"):
        _build(model, images, data)


def test_a_data_folder_without_queries_is_refused_first(model: Path, images: Path, tmp_path: Path) -> None:
    """Before minutes of building."""
    with pytest.raises(DataError, match="which is missing"):
        _build(model, images, tmp_path / "nowhere")


def test_a_precision_must_be_given(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage is exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main([str(model), "--data", str(data)])
    assert caught.value.code == 2
    assert "--fp16 --int8" in capsys.readouterr().err

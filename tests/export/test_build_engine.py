"""ONNX file to accepted engine."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from calibration import quantize, select_images
from calibration.precision_plan import PrecisionPlan, write_precision_plan
from edge_runtime.contract.errors import ConfigError, DataError, EngineError, ExportError, ManifestError
from edge_runtime.contract.manifest import Manifest, hash_file, read_manifest
from edge_runtime.engine.catalog import open_engine
from edge_runtime.link.messages import Birth, ModelCard
from edge_runtime.link.wire_format import decode_json
from export import build_engine
from export.acceptance import pack_images
from export.build_engine import main
from export.building.tensorrt_builder import tensorrt_unavailable
from tests.support.engine_options import ANY_LOSS, ANY_SPEED, CPU, NO_LOSS_IS_SMALL_ENOUGH
from tests.support.tensorrt_site import ROOT, environment
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX


def _build(model: Path, images: Path, data: Path, *options: str) -> int:
    return main(
        [str(model), "--int8", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS, *ANY_SPEED, *options]
    )


def test_int8_is_quantized_compared_and_kept(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """One command from a float32 file to an engine that opens, with its evidence beside it."""
    output = tmp_path / "engines" / "tiny_int8.onnx"
    assert _build(model, images, data, "--output", str(output)) == 0
    assert {path.name for path in output.parent.iterdir()} == {"tiny_int8.onnx", "tiny_int8.onnx.json"}
    manifest = read_manifest(output)
    assert (manifest.artefact.kind, manifest.artefact.file) == ("engine", "tiny_int8.onnx")
    assert (manifest.build.backend, manifest.build.precision) == ("onnxruntime", "int8")
    assert manifest.artefact.parent_sha256 == hash_file(model)
    assert manifest.calibration is not None
    assert manifest.calibration.image_list_sha256 == hash_file(images)
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
    assert re.search("batches of 8, one thread of .*; float32 by onnxruntime", said)
    assert "tiny_int8_onnxruntime.onnx: int8, backend onnxruntime" in said


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_without_tensorrt_auto_takes_onnx_runtime_and_says_why(
    model: Path, images: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody should believe that a GPU engine was built."""
    assert _build(model, images, data, "--backend", "auto") == 0
    said = capsys.readouterr().out
    assert "building for ONNX Runtime on the CPU, because TensorRT is not available: " in said


@pytest.mark.gpu
@pytest.mark.skipif(tensorrt_unavailable() is None, reason="TensorRT can build here")
def test_without_tensorrt_asking_for_it_is_an_error(model: Path, images: Path, data: Path) -> None:
    """An explicit wish is never repaired in silence."""
    with pytest.raises(ExportError, match=r"TensorRT is not available: .*--backend onnxruntime"):
        _build(model, images, data, "--backend", "tensorrt")


BUILD = """
import sys
from pathlib import Path
from export.building.backends import EngineKind
from export.building.engine_build import decide_build, make_engine
from export.building.engine_source import EngineSource, get_network
from export.building.tensorrt_builder import BatchSizes

model, images, data, output = map(Path, sys.argv[1:])
kind = EngineKind("int8", "tensorrt")
network = get_network(EngineSource(model, model, images, data), kind, folder=output.parent)
build = decide_build(network, kind, parent=model, batch=BatchSizes(1, 4, 8), output=output)
make_engine(build, output)
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
    assert (manifest.artefact.kind, manifest.artefact.parent_sha256) == ("engine", hash_file(model))
    assert (manifest.build.backend, manifest.build.precision) == ("tensorrt", "int8")
    assert manifest.build.tensorrt is not None
    assert manifest.build.tensorrt.startswith("11.")
    assert (manifest.artefact.batch_min, manifest.artefact.batch_opt, manifest.artefact.batch_max) == (1, 4, 8)
    assert manifest.calibration is not None


def test_an_engine_that_loses_too_much_is_not_written(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """A sentence with numbers and what to do, no manifest, no half-written file; an older engine stays as it was."""
    output = tmp_path / "engines" / "tiny_int8.onnx"
    assert _build(model, images, data, "--output", str(output)) == 0
    before = {path: path.read_bytes() for path in output.parent.iterdir()}
    refusal = r"not good enough: -?\d+\.\d\d points of rank-1 lost .* at most -101 may be.*let .* --precision-plan; no"
    with pytest.raises(ExportError, match=refusal):
        _build(model, images, data, "--output", str(output), *NO_LOSS_IS_SMALL_ENOUGH)
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == before


def test_int8_without_a_list_says_what_to_add(model: Path, data: Path) -> None:
    """Ranges cannot be invented."""
    with pytest.raises(ExportError, match=r"not quantised yet: add --calibration LIST, made with calibration/select"):
        main([str(model), "--int8", "--data", str(data), *CPU])


def test_a_quantized_file_needs_no_list(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """It is compared with the float32 file beside it, found by its manifest."""
    quantized = tmp_path / "by_hand.onnx"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantized)]
    assert quantize.main([str(model), *options]) == 0
    assert main([str(quantized), "--int8", "--data", str(data), *CPU, *ANY_LOSS, *ANY_SPEED]) == 0
    engine = tmp_path / "tiny_int8_onnxruntime.onnx"
    assert engine.read_bytes() == quantized.read_bytes()
    assert read_manifest(engine).artefact.parent_sha256 == hash_file(model)


def test_an_image_list_that_would_not_be_used_is_refused(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """Half precision takes none, and a quantised file has its own; naming that one again does no harm."""
    with pytest.raises(ExportError, match="--calibration is for --int8 only"):
        main([str(model), "--fp16", "--calibration", str(images), "--data", str(data), *CPU])
    quantized, other = tmp_path / "by_hand.onnx", tmp_path / "other.json"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantized)]
    assert quantize.main([str(model), *options]) == 0
    assert select_images.main([str(data), "--output", str(other), "--count", "5"]) == 0
    with pytest.raises(ExportError, match=r"quantised already, with another image list than .*other\.json"):
        _build(quantized, other, data)
    assert _build(quantized, images, data) == 0


def test_a_quantized_file_without_its_parent_is_refused(model: Path, images: Path, data: Path, tmp_path: Path) -> None:
    """Without float32 there is nothing to measure the loss against."""
    quantized = tmp_path / "by_hand.onnx"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantized)]
    assert quantize.main([str(model), *options]) == 0
    model.unlink()
    with pytest.raises(ExportError, match=r"found no fp32 ONNX file with the weights of .*by_hand\.onnx beside it"):
        main([str(quantized), "--int8", "--data", str(data), *CPU])


def test_half_precision_takes_the_file_beside_the_model(small_osnet: Path, tmp_path: Path, data: Path) -> None:
    """`--fp16` uses what `to_onnx.py --half` wrote, known by its manifest and not by its name."""
    for path in small_osnet.iterdir():
        shutil.copy(path, tmp_path)
    model = tmp_path / "osnet.onnx"
    for suffix in ("", ".json"):
        (tmp_path / f"osnet_fp16.onnx{suffix}").rename(tmp_path / f"half.onnx{suffix}")
    assert main([str(model), "--fp16", "--data", str(data), *CPU, *ANY_LOSS, *ANY_SPEED]) == 0
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
    assert "--fp16 --int8 --bf16 --best" in capsys.readouterr().err


def test_an_engine_slower_than_float32_is_refused_unless_asked_for(
    model: Path, images: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INT8 of a small network on ONNX Runtime is; the clock is made up here, since a test's own would vary."""
    monkeypatch.setattr(build_engine, "time_engines", lambda *_, **__: ([2.0, 3.0], "by a made-up clock"))
    command = [str(model), "--int8", "--calibration", str(images), "--data", str(data), *CPU, *ANY_LOSS]
    with pytest.raises(ExportError, match=r"is slower than its float32 parent: 3\.00 ms where that takes 2\.00 ms"):
        main(command)
    assert not (model.parent / "tiny_int8_onnxruntime.onnx").exists()
    assert main([*command, "--allow-slower"]) == 0


def test_bfloat16_is_openvinos(model: Path, data: Path) -> None:
    """From the float32 file itself; other backends are refused by name."""
    pytest.importorskip("openvino")
    with pytest.raises(ExportError, match="onnxruntime runs no bf16 engines; take --backend openvino"):
        main([str(model), "--bf16", "--data", str(data), *CPU])
    command = [str(model), "--bf16", "--data", str(data), *ANY_LOSS, *ANY_SPEED]
    if "BF16" not in _capabilities():
        with pytest.raises(EngineError, match="does not compute in bfloat16"):
            main(command)
        return
    assert main(command) == 0
    engine = model.parent / "tiny_bf16_openvino.onnx"
    assert engine.read_bytes() == model.read_bytes()
    assert read_manifest(engine).build.backend == "openvino"


def _capabilities() -> list[str]:
    from openvino import Core

    capabilities: list[str] = Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return capabilities


def test_calibration_images_of_test_people_are_refused(model: Path, data: Path, tmp_path: Path) -> None:
    """By the folder they lie in, and by who is on them."""
    copy = shutil.copytree(data, tmp_path / data.name)
    for image in (copy / "query").iterdir():
        shutil.copy(image, copy / "bounding_box_train")
    images, strays = tmp_path / "images.json", tmp_path / "strays.json"
    assert select_images.main([str(copy), "--output", str(images), "--count", "30"]) == 0
    with pytest.raises(ExportError, match=r"images\.json holds 6 people of the test, identity 5 for one"):
        _build(model, images, copy)
    strays.write_text(images.read_text().replace('"bounding_box_train/0001', '"query/0001'))
    with pytest.raises(DataError, match="expected images of bounding_box_train only, found 'query/0001"):
        _build(model, strays, copy)


def test_a_packed_file_serves_where_there_is_no_data_set(
    model: Path, images: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quantised file and a packed set are all that a device needs."""
    quantized, packed = tmp_path / "by_hand.onnx", tmp_path / "acceptance.npz"
    options = ["--calibration", str(images), "--data", str(data), "--output", str(quantized)]
    assert quantize.main([str(model), *options]) == 0
    assert pack_images.main([str(data), "--model", str(model), "--output", str(packed), "--identities", "5"]) == 0
    assert main([str(quantized), "--int8", "--acceptance", str(packed), *CPU, *ANY_LOSS, *ANY_SPEED]) == 0
    evidence = read_manifest(tmp_path / "tiny_int8_onnxruntime.onnx").evidence
    assert evidence is not None
    assert evidence.images_sha256 is not None
    monkeypatch.setattr("export.building.usual_inputs.sample_clip", lambda: None)
    with pytest.raises(ConfigError, match=r"add --data FOLDER, .* or --acceptance FILE"):
        main([str(quantized), "--int8", *CPU])


def test_what_acceptance_found_travels_in_the_birth_message(model: Path, images: Path, data: Path) -> None:
    """Whoever receives descriptors learns what this engine costs: the manifest is in it, evidence included."""
    assert _build(model, images, data) == 0
    manifest = read_manifest(model.with_name("tiny_int8_onnxruntime.onnx"))
    birth = Birth(boot="0" * 16, node_card={}, models=(ModelCard.of(manifest),))
    [card] = decode_json(birth.model_dump_json().encode(), Birth).models
    received = Manifest.model_validate(card.model_dump())
    assert received == manifest
    assert received.evidence is not None
    assert {(cell.query, cell.gallery) for cell in received.evidence.precisions} == {
        (query, gallery)
        for query in ("fp32 onnxruntime", "int8 onnxruntime")
        for gallery in ("fp32 onnxruntime", "int8 onnxruntime")
    }
    assert received.evidence.mean_ap_change is not None


def test_an_engine_that_is_there_is_not_replaced_by_another_in_silence(
    model: Path, images: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same again is compared again; other batch sizes are refused until they are forced."""
    assert _build(model, images, data) == 0
    assert _build(model, images, data) == 0
    assert "compared again, not built" in capsys.readouterr().out
    with pytest.raises(ExportError, match=r"batch was \(1, 8, 32\), now \(1, 2, 4\); replace it with --force"):
        _build(model, images, data, "--batch", "1", "2", "4")
    assert _build(model, images, data, "--batch", "1", "2", "4", "--force") == 0
    artefact = read_manifest(model.with_name("tiny_int8_onnxruntime.onnx")).artefact
    assert (artefact.batch_min, artefact.batch_opt, artefact.batch_max) == (1, 2, 4)
    with pytest.raises(ExportError, match="1 <= min <= opt <= max, found 4, 2, 1"):
        _build(model, images, data, "--batch", "4", "2", "1")


def test_a_precision_plan_for_another_backend_or_nothing_is_refused(
    model: Path, images: Path, data: Path, tmp_path: Path
) -> None:
    """A precision plan was measured on one backend, and says nothing of others."""
    path = tmp_path / "plan.json"
    write_precision_plan(PrecisionPlan(backend="tensorrt", kept_in_float=(), decided_by="this test"), path)
    with pytest.raises(ExportError, match=r"was measured for tensorrt, but onnxruntime is built for"):
        _build(model, images, data, "--precision-plan", str(path))
    with pytest.raises(ExportError, match="which is not done here; leave it out"):
        main([str(model), "--fp16", "--precision-plan", str(path), "--data", str(data), *CPU])
    write_precision_plan(PrecisionPlan(backend="onnxruntime", kept_in_float=("stem",), decided_by="this test"), path)
    assert _build(model, images, data, "--precision-plan", str(path)) == 0
    assert read_manifest(model.with_name("tiny_int8_onnxruntime.onnx")).build.kept_higher == ("stem",)

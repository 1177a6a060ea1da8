"""OpenVINO as an engine, beside ONNX Runtime on the same file."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.contract.manifest import Build, Manifest, Precision, hash_file, write_manifest
from edge_runtime.engine import openvino_engine
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.openvino_engine import OpenVinoEngine, check_precision, chunk_borders, load_openvino
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, tiny_manifest, write_tiny_network


def crops(count: int) -> NDArray[np.uint8]:
    """Crops of random pixels."""
    return np.random.default_rng(1).integers(0, 256, (count, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)


def openvino_manifest(path: Path, *, precision: Precision = "fp32") -> Manifest:
    """The manifest of a tiny network, built for OpenVINO."""
    return tiny_manifest(path).model_copy(update={"build": Build(backend="openvino", precision=precision)})


def engine_for_openvino(folder: Path, *, precision: Precision = "fp32") -> Path:
    """The tiny network with a manifest that says OpenVINO."""
    path = write_tiny_network(folder)
    write_manifest(openvino_manifest(path, precision=precision), path)
    return path


def runs_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16."""
    return "BF16" in load_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [0, 1, 3, 9, 40])
def test_descriptors_are_those_of_onnx_runtime(tmp_path: Path, threads: int, count: int) -> None:
    """Any number of crops on any number of threads: row i belongs to crop i, to float32 rounding."""
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "openvino").mkdir()
    reference = write_tiny_network(tmp_path / "onnxruntime")
    path = engine_for_openvino(tmp_path / "openvino")
    with open_engine(path, threads=threads) as engine, open_engine(reference) as expected:
        assert engine.backend.startswith("openvino ")
        np.testing.assert_allclose(engine.describe(crops(count)), expected.describe(crops(count)), atol=1e-5)


@pytest.mark.parametrize("way", [0, 1], ids=["one thread", "all threads"])
def test_a_single_crop_has_the_same_descriptor_on_one_thread_and_on_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    """Whichever way is faster when the engine opens."""
    monkeypatch.setattr(openvino_engine, "find_fastest", lambda ways: way)
    path = engine_for_openvino(tmp_path)
    with open_engine(path, threads=2) as engine:
        several, single = engine.describe(crops(8)), engine.describe(crops(8)[:1])
    np.testing.assert_allclose(single, several[:1], atol=1e-5)


@pytest.mark.parametrize(
    ("count", "threads", "sizes"),
    [(1, 1, [1]), (5, 1, [4, 1]), (4, 2, [1] * 4), (7, 2, [4, 1, 1, 1]), (8, 2, [4, 4]), (12, 2, [4, 4, 1, 1, 1, 1])],
)
def test_no_thread_waits_for_another_one_that_has_a_full_chunk(count: int, threads: int, sizes: list[int]) -> None:
    """Full chunks as far as they go round, single crops for the rest: no other size is compiled."""
    borders = chunk_borders(count, threads=threads)
    assert np.diff(borders).tolist() == sizes
    assert (borders[0], borders[-1]) == (0, count)


def test_the_first_call_of_a_process_may_use_several_threads(tmp_path: Path) -> None:
    """OpenVINO's one-time set-up, made by two threads at once, would wait for ever."""
    code = (
        "import sys, numpy; from pathlib import Path; from edge_runtime.engine.catalog import open_engine; "
        f"crops = numpy.zeros((8, {HEIGHT_PX}, {WIDTH_PX}, 3), numpy.uint8); "
        "print(len(open_engine(Path(sys.argv[1]), threads=2).describe(crops)))"
    )
    command = [sys.executable, "-c", code, str(engine_for_openvino(tmp_path))]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "8\n"


def test_bfloat16_keeps_the_descriptors_where_the_cpu_has_it_and_is_refused_elsewhere(tmp_path: Path) -> None:
    """OpenVINO alone would silently compute in float32."""
    path = engine_for_openvino(tmp_path, precision="bf16")
    if not runs_bfloat16():
        with pytest.raises(EngineError, match="does not compute in bfloat16"):
            open_engine(path)
        return
    (tmp_path / "fp32").mkdir()
    with open_engine(path) as half, open_engine(engine_for_openvino(tmp_path / "fp32")) as single:
        cosines = (half.describe(crops(8)) * single.describe(crops(8))).sum(axis=1)
    assert cosines.min() > 0.999
    assert cosines.min() < 1 - 1e-9  # it did compute in another precision


class NoBfloat16:
    """A processor of before 2020, as OpenVINO describes it."""

    def get_property(self, device: str, name: str) -> list[str]:
        """See `openvino.Core.get_property`."""
        return ["FP32", "INT8", "BIN"]


def test_a_cpu_without_bfloat16_is_refused(tmp_path: Path) -> None:
    """One sentence, with what to build instead; other precisions pass."""
    path = write_tiny_network(tmp_path)
    with pytest.raises(EngineError, match="does not compute in bfloat16; build the engine in float32 or INT8"):
        check_precision(NoBfloat16(), openvino_manifest(path, precision="bf16"))
    check_precision(NoBfloat16(), openvino_manifest(path, precision="int8"))


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    """OpenVINO's own message names its source files over many lines."""
    path = engine_for_openvino(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    manifest = openvino_manifest(path)
    artefact = manifest.artefact.model_copy(update={"sha256": hash_file(path)})
    write_manifest(manifest.model_copy(update={"artefact": artefact}), path)
    with pytest.raises(EngineError, match=r"openvino .* cannot load .*; the file is damaged") as raised:
        open_engine(path)
    assert "\n" not in str(raised.value)


def test_tensors_that_are_not_the_manifests_are_refused(tmp_path: Path) -> None:
    """Both tensors are named, with type and shape."""
    path = write_tiny_network(tmp_path)
    manifest = openvino_manifest(path)
    other = manifest.input.model_copy(update={"tensor": "images"})
    with pytest.raises(EngineError, match=r"expected images uint8 .*; found pixels uint8 "):
        OpenVinoEngine(path, manifest.model_copy(update={"input": other}))


def test_without_openvino_the_sentence_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional: its absence is no traceback."""
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install 'reid-edge\[openvino\]'"):
        open_engine(engine_for_openvino(tmp_path))

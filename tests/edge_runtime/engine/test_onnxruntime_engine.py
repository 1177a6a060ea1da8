"""ONNX Runtime as an engine."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from edge_runtime.contract.errors import EngineError
from edge_runtime.engine import onnxruntime_engine
from edge_runtime.engine.catalog import open_engine
from edge_runtime.engine.onnxruntime_engine import OnnxRuntimeEngine
from tests.support.tiny_network import HEIGHT_PX, LENGTH, WIDTH_PX, tiny_graph, tiny_manifest, write_tiny_network


def _crops(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network with its manifest."""
    return write_tiny_network(tmp_path_factory.mktemp("model"))


def _saved(folder: Path, graph: onnx.ModelProto) -> Path:
    path = folder / "other.onnx"
    onnx.save(graph, path)
    return path


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 33, 70])
def test_any_number_of_crops_gives_unit_descriptors(model: Path, count: int) -> None:
    """Batches of any size are cut and put together again in order."""
    with open_engine(model) as engine:
        descriptors = engine.describe(_crops(count))
        assert descriptors.shape == (count, LENGTH)
        np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, rtol=1e-5)
        for row, crop in zip(descriptors, _crops(count), strict=True):
            np.testing.assert_allclose(row, engine.describe(crop[None])[0], atol=1e-6)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_the_number_of_threads_does_not_change_the_descriptors(model: Path, threads: int, count: int) -> None:
    """A device with more cores gives the same descriptors, to float32 rounding."""
    with open_engine(model) as one, open_engine(model, threads=threads) as many:
        np.testing.assert_allclose(many.describe(_crops(count)), one.describe(_crops(count)), atol=1e-6)


@pytest.mark.parametrize("way", [0, 1])
@pytest.mark.parametrize("threads", [1, 2])
def test_descriptors_do_not_depend_on_what_is_faster(
    model: Path, monkeypatch: pytest.MonkeyPatch, way: int, threads: int
) -> None:
    """In chunks or one by one, a single crop on one thread or on all: row i belongs to crop i."""
    monkeypatch.setattr(onnxruntime_engine, "find_fastest", lambda ways: way)
    with open_engine(model, threads=threads) as engine:
        several = engine.describe(_crops(9))
        singles = np.concatenate([engine.describe(crop[None]) for crop in _crops(9)])
    np.testing.assert_allclose(several, singles, atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_descriptor_that_is_no_number_is_refused(tmp_path: Path, value: float) -> None:
    """Half precision may overflow; such a descriptor would match nobody, and no error would show it."""
    graph = tiny_graph()
    bias = next(constant for constant in graph.graph.initializer if constant.name == "fc_b")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(LENGTH, value, np.float32), "fc_b"))
    path = _saved(tmp_path, graph)
    with OnnxRuntimeEngine(path, tiny_manifest(path)) as engine, pytest.raises(EngineError, match="infinity or NaN"):
        engine.describe(_crops(2))


def test_the_backend_is_named(model: Path) -> None:
    """A user reads what runs the network."""
    with open_engine(model) as engine:
        assert engine.backend.startswith("onnxruntime 1.")
        assert engine.backend.endswith(" CPU")


def test_a_truncated_file_is_refused_in_one_sentence(model: Path, tmp_path: Path) -> None:
    """Half a file, whose manifest was made for that half, still does not load."""
    path = tmp_path / "half.onnx"
    path.write_bytes(model.read_bytes()[: model.stat().st_size // 2])
    with pytest.raises(EngineError, match=r"cannot load .*half\.onnx.*export it again") as caught:
        OnnxRuntimeEngine(path, tiny_manifest(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a network at all"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of another kind is no model."""
    path = tmp_path / "foreign.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="cannot load"):
        OnnxRuntimeEngine(path, tiny_manifest(path))


def test_other_tensor_names_are_refused(tmp_path: Path) -> None:
    """Names are the manifest's, not the file's."""
    path = _saved(tmp_path, tiny_graph())
    manifest = tiny_manifest(path)
    renamed = manifest.input.model_copy(update={"tensor": "images"})
    with pytest.raises(EngineError, match=r"expected the input images uint8 .*found pixels uint8"):
        OnnxRuntimeEngine(path, manifest.model_copy(update={"input": renamed}))


def test_another_input_size_is_refused(tmp_path: Path) -> None:
    """Crops would be cut to a size the network does not take."""
    path = _saved(tmp_path, tiny_graph())
    manifest = tiny_manifest(path)
    taller = manifest.input.model_copy(update={"height_px": 256})
    with pytest.raises(EngineError, match=r"expected .*\(any, 256, 16, 3\), found .*\(any, 32, 16, 3\)"):
        OnnxRuntimeEngine(path, manifest.model_copy(update={"input": taller}))


def test_another_descriptor_length_is_refused(tmp_path: Path) -> None:
    """The gallery was made with descriptors of the manifest's length."""
    path = _saved(tmp_path, tiny_graph())
    manifest = tiny_manifest(path)
    longer = manifest.descriptor.model_copy(update={"length": 512})
    with pytest.raises(EngineError, match=r"expected the output .*512.*found .*12"):
        OnnxRuntimeEngine(path, manifest.model_copy(update={"descriptor": longer}))


def test_a_fixed_batch_is_refused(tmp_path: Path) -> None:
    """The number of people in a frame varies."""
    path = _saved(tmp_path, tiny_graph(batch=1))
    with pytest.raises(EngineError, match=r"expected the input .*\(any, .*found .*\(1, "):
        OnnxRuntimeEngine(path, tiny_manifest(path))


def test_a_network_on_floats_is_refused(tmp_path: Path) -> None:
    """Pixels travel as uint8; a network that wants normalised floats was not exported by us."""
    graph = tiny_graph()
    graph.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    path = _saved(tmp_path, graph)
    with pytest.raises(EngineError, match=r"found pixels float32"):
        OnnxRuntimeEngine(path, tiny_manifest(path))


def test_no_threads_are_refused(model: Path) -> None:
    """Zero threads would never answer."""
    with pytest.raises(EngineError, match="at least 1 thread"):
        open_engine(model, threads=0)

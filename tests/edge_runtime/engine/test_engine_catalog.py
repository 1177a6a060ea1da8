"""The table of engines."""

import inspect
from pathlib import Path
from typing import get_args

import pytest

from edge_runtime.contract.errors import EngineError, ManifestError
from edge_runtime.contract.manifest import Build
from edge_runtime.engine.catalog import ENGINES, Backend, open_engine
from tests.support.tiny_network import write_tiny_network


def test_the_table_setting_and_manifest_name_the_same_engines() -> None:
    """A backend that one of them lacks would end in a KeyError, or could never be chosen."""
    assert {*ENGINES, "auto"} == set(get_args(Backend))
    assert {*ENGINES, "torch"} == set(get_args(Build.model_fields["backend"].annotation))


@pytest.mark.parametrize("backend", ENGINES)
def test_every_engine_is_complete(backend: str) -> None:
    """It is opened with a path, its manifest and a number of threads."""
    assert list(inspect.signature(ENGINES[backend]).parameters) == ["path", "manifest", "threads"]


def test_an_unknown_backend_of_a_manifest_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    """A manifest of a later version may name one."""
    path = write_tiny_network(tmp_path)
    manifest = path.with_name(path.name + ".json")
    manifest.write_text(manifest.read_text().replace('"onnxruntime"', '"abacus"'))
    with pytest.raises(ManifestError, match="'torch', 'onnxruntime', 'openvino' or 'tensorrt'"):
        open_engine(path)


def test_another_backend_than_the_manifests_is_refused(tmp_path: Path) -> None:
    """Never a silent change."""
    with pytest.raises(EngineError, match="was built for onnxruntime, not openvino"):
        open_engine(write_tiny_network(tmp_path), backend="openvino")

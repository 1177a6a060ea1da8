"""What a manifest says about its origin."""

import re
from pathlib import Path

from edge_runtime.contract.manifest import Build, Manifest, read_manifest, write_manifest
from edge_runtime.contract.provenance import derive_manifest, describe_file, read_commit, read_cpu_name, read_utc
from tests.support.tiny_network import write_tiny_network


def test_commit_and_moment_have_their_form() -> None:
    """A reader can check out the commit and sort the moments as text."""
    assert re.fullmatch(r"[0-9a-f]{40}(-changed)?|unknown", read_commit())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", read_utc())


def test_a_successor_keeps_the_space_and_names_its_parent(tmp_path: Path) -> None:
    """Descriptors of parent and child may be compared; the chain of files can be followed by digest."""
    parent = read_manifest(write_tiny_network(tmp_path))
    path = tmp_path / "child.onnx"
    path.write_bytes(b"child")
    artefact = describe_file(path, parent=parent, kind="engine", opset=17)
    child = derive_manifest(parent, artefact, build=Build(backend="onnxruntime", precision="int8"))
    write_manifest(child, path)
    child = read_manifest(path)
    assert isinstance(child, Manifest)
    assert (child.space_id, child.model_id) == (parent.space_id, parent.model_id)
    assert child.artefact.parent_sha256 == parent.artefact.sha256
    assert child.artefact.file == "child.onnx"


def test_the_processor_has_a_name() -> None:
    """A record without the device is worth nothing."""
    assert read_cpu_name()

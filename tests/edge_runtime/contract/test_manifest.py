"""The manifest is strict, belongs to one file, and names the space in which descriptors may be compared."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest

from edge_runtime.contract.errors import ManifestError
from edge_runtime.contract.manifest import (
    Build,
    Descriptor,
    Evidence,
    Input,
    Part,
    hash_file,
    manifest_path,
    read_manifest,
    space_id,
    write_manifest,
)
from tests.conftest import ROOT
from tests.support.tiny_network import tiny_manifest, write_tiny_network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A small model with its manifest."""
    return write_tiny_network(tmp_path)


def change(model: Path, **changes: Any) -> None:
    content = json.loads(manifest_path(model).read_text())
    manifest_path(model).write_text(json.dumps(content | changes))


def test_a_manifest_survives_writing_and_reading(model: Path) -> None:
    """And leaves no half-written file behind."""
    manifest = read_manifest(model)
    write_manifest(manifest, model)
    assert read_manifest(model) == manifest
    assert sorted(path.name for path in model.parent.iterdir()) == ["tiny.onnx", "tiny.onnx.json"]


def test_a_byte_order_mark_does_no_harm(model: Path) -> None:
    """Windows' editors write one in front of a file that somebody looked at."""
    expected = read_manifest(model)
    manifest_path(model).write_bytes(b"\xef\xbb\xbf" + manifest_path(model).read_bytes())
    assert read_manifest(model) == expected


def test_another_file_under_the_same_name_is_refused(model: Path) -> None:
    """One flipped bit is enough."""
    data = bytearray(model.read_bytes())
    data[100] ^= 1
    model.write_bytes(data)
    with pytest.raises(ManifestError, match=r"expected SHA-256 [0-9a-f]{64}, found [0-9a-f]{64}"):
        read_manifest(model)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tiny.onnx", r"copy tiny\.onnx\.json with it, or export it again; a network of another toolkit"),
        ("model.pth", r"copy model\.pth\.json with it$"),
        ("resume.pth", r"this file is for --resume, use model\.pth"),
    ],
)
def test_a_missing_manifest_is_said_with_what_helps(tmp_path: Path, name: str, advice: str) -> None:
    """A checkpoint cannot be exported again, and what a run goes on from is no model."""
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ManifestError, match=advice):
        read_manifest(tmp_path / name)


def test_all_faults_are_listed(model: Path) -> None:
    """An unknown key, a missing one and a wrong value, each by its name."""
    content = json.loads(manifest_path(model).read_text())
    del content["recipe"]
    content["artefact"]["colour"] = "blue"
    content["input"]["height_px"] = -1
    manifest_path(model).write_text(json.dumps(content))
    with pytest.raises(ManifestError) as caught:
        read_manifest(model)
    for name in ("recipe", "artefact.colour", "input.height_px"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"space_id": "0" * 16}, "space_id does not follow"),
        ({"schema_version": 2}, "schema_version"),
        ({"created": None}, "created"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused(model: Path, changes: dict[str, Any], reason: str) -> None:
    """Derived fields are checked, not believed."""
    change(model, **changes)
    with pytest.raises(ManifestError, match=reason):
        read_manifest(model)


def test_missing_files_are_told_apart(model: Path) -> None:
    """No model, no manifest, no JSON."""
    with pytest.raises(ManifestError, match=r"cannot read .*nothing\.onnx"):
        read_manifest(model.with_name("nothing.onnx"))
    manifest_path(model).write_text("not json")
    with pytest.raises(ManifestError, match="not a valid manifest"):
        read_manifest(model)
    manifest_path(model).unlink()
    with pytest.raises(ManifestError, match=r"expected tiny\.onnx\.json beside it"):
        read_manifest(model)


def test_parts_fill_the_descriptor() -> None:
    """PLR-OSNet: 2,048 local and 512 global."""
    parts = (Part(name="local", length=2048), Part(name="global", length=512))
    assert Descriptor(length=2560, parts=parts).length == 2560
    with pytest.raises(ValueError, match="add up to 2560, not to length 2561"):
        Descriptor(length=2561, parts=parts)


def test_a_space_changes_with_weights_input_and_output_but_not_with_tensor_names() -> None:
    """Precision and file format are not part of it, so a fleet may mix them."""
    input_ = Input(height_px=256, width_px=128)
    output = Descriptor(length=512, parts=(Part(name="global", length=512),))
    base = space_id("a" * 64, input_, descriptor=output)
    assert space_id("a" * 64, input_.model_copy(update={"tensor": "x"}), descriptor=output) == base
    others = {
        space_id("b" * 64, input_, descriptor=output),
        space_id("a" * 64, Input(height_px=128, width_px=64), descriptor=output),
        space_id("a" * 64, Input(height_px=256, width_px=128, mean=(0.5, 0.5, 0.5)), descriptor=output),
        space_id("a" * 64, input_, descriptor=Descriptor(length=512, parts=(Part(name="local", length=512),))),
    }
    assert len(others | {base}) == 5


def test_a_fourth_channel_that_says_nothing_leaves_the_space_as_it_is() -> None:
    """Engines for RGB and for RGBA pixels of one network describe alike."""
    output = Descriptor(length=512, parts=(Part(name="global", length=512),))
    rgb, rgba = Input(height_px=256, width_px=128), Input(height_px=256, width_px=128, colour_order="RGBA")
    assert (rgb.channels, rgba.channels) == (3, 4)
    assert space_id("a" * 64, rgba, descriptor=output) == space_id("a" * 64, rgb, descriptor=output)


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    """SHA-256 of 'abc', as its standard gives it."""
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_file(tmp_path / "abc") == expected


@pytest.mark.parametrize("name", ["osnet_x0_25.onnx", "osnet_x0_25_int8.onnx"])
def test_manifests_of_the_first_release_are_still_read(name: str) -> None:
    """What was added since has a default: an engine in the field is not refused by a newer program."""
    manifest = read_manifest(ROOT / "edge_runtime" / "models" / name)
    assert manifest.evidence is not None
    added = {"images_sha256", "site", "rank1_change", "mean_ap_change", "mean_inp_change", "precisions", "verification"}
    old = manifest.evidence.model_dump(mode="json", exclude=added)
    assert len(old) == 12
    assert Evidence.model_validate(old).precisions == ()
    added_to_build = {"network_sha256", "workspace_mib", "optimisation_level"}
    assert Build.model_validate(manifest.build.model_dump(exclude=added_to_build)).network_sha256 is None


def test_weights_in_a_second_file_are_refused(tmp_path: Path) -> None:
    """They could be exchanged under a digest that still fits."""
    path = write_tiny_network(tmp_path)
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
    write_manifest(tiny_manifest(path), path)
    with pytest.raises(ManifestError, match=r"tiny\.onnx keeps its weights in another file: expected one file"):
        read_manifest(path)

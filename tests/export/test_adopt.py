"""Networks of other toolkits become ours: in every form, proved equal, refused where they are not."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import ExportError, ManifestError
from edge_runtime.contract.manifest import Manifest, hash_file, read_manifest, write_manifest
from edge_runtime.engine.catalog import open_engine
from export import build_engine
from export.adopt import main
from tests.export.building.test_tensorrt_builder import build
from tests.support.foreign_network import HEIGHT_PX, LENGTH, MEAN, STD, WIDTH_PX, write_foreign_network
from tests.support.tiny_network import write_tiny_network

FACTS = ("--licence", "Apache-2.0", "--trained-on", "Patterns, public domain", "--source", "https://example.org/net")


def adopt(network: Path, folder: Path, *options: str) -> Manifest:
    """Adopt a network, with the facts that are always stated. Returns the manifest."""
    assert main([str(network), "--output", str(folder), *FACTS, *options]) == 0
    name = options[options.index("--name") + 1] if "--name" in options else network.stem
    return read_manifest(folder / f"{name}.onnx")


def crops(count: int = 3) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """Noise at the network's size."""
    return np.random.default_rng(1).integers(0, 256, (count, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)


def describe(path: Path) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """What the engine of an adopted network makes of the crops."""
    with open_engine(path) as engine:
        return engine.describe(crops())


@pytest.mark.parametrize("batch", [1, 4, "n"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_an_export_with_the_normalisation_outside(tmp_path: Path, batch: int | str, order: str) -> None:
    """Fixed and open batches, a classifier beside the descriptor, constants and batch norms not folded: as asked by
    hand, image by image."""
    network = write_foreign_network(tmp_path / "foreign.onnx", batch=batch)
    adopt(network, tmp_path / "out", "--input", "imagenet", "--order", order, "--descriptor", "features")
    session = onnxruntime.InferenceSession(network)
    rows = []
    for crop in crops():
        values = ((crop[..., :: -1 if order == "bgr" else 1] / 255 - MEAN) / STD).astype(np.float32)
        values = np.repeat(values.transpose(2, 0, 1)[None], batch if isinstance(batch, int) else 1, axis=0)
        rows.append(session.run(["features"], {"images": values})[0][0])
    assert np.abs(describe(tmp_path / "out/foreign.onnx") - normalise(np.stack(rows))).max() < 1e-5


def test_an_export_with_the_normalisation_inside_is_the_same_network(tmp_path: Path) -> None:
    """Declared otherwise, the same function; the axes' order is found out."""
    outside = write_foreign_network(tmp_path / "outside.onnx", classifies=False)
    inside = write_foreign_network(tmp_path / "inside.onnx", normalises=True, classifies=False, channels_first=False)
    adopt(outside, tmp_path, "--input", "imagenet", "--name", "first")
    adopt(inside, tmp_path, "--input", "rgb-255", "--name", "second")
    assert np.abs(describe(tmp_path / "first.onnx") - describe(tmp_path / "second.onnx")).max() < 1e-5


def test_the_manifest_says_where_it_is_from(tmp_path: Path) -> None:
    """Digest of the original, source, terms; mean and deviation as our own networks state them."""
    network = write_foreign_network(tmp_path / "foreign.onnx", classifies=False)
    found = adopt(network, tmp_path / "out", "--input", "imagenet")
    assert found.artefact.parent_sha256 == hash_file(network)
    assert "https://example.org/net" in found.recipe
    assert (found.terms.weights, found.terms.training_data) == ("Apache-2.0", "Patterns, public domain")
    assert found.model_id.startswith("foreign-patterns-")
    assert found.input.mean == pytest.approx(MEAN)
    assert found.input.std == pytest.approx(STD)
    assert found.descriptor.length == LENGTH


def test_what_a_manifest_cannot_say_makes_another_space(tmp_path: Path) -> None:
    """The same file with its colours in another order describes otherwise, so its descriptors are not compared."""
    network = write_foreign_network(tmp_path / "foreign.onnx", classifies=False)
    one = adopt(network, tmp_path / "one", "--input", "rgb-255")
    other = adopt(network, tmp_path / "other", "--input", "bgr-255")
    assert one.space_id != other.space_id


def test_an_old_opset_is_brought_up(tmp_path: Path) -> None:
    """INT8 with a scale per channel needs 13."""
    network = write_foreign_network(tmp_path / "foreign.onnx", opset=11, classifies=False)
    assert adopt(network, tmp_path / "out", "--input", "imagenet").artefact.opset == 17


def test_crops_are_compared_and_scored(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a data set the manifest has scores, by the code that scores our own networks."""
    network = write_foreign_network(tmp_path / "foreign.onnx", classifies=False)
    found = adopt(network, tmp_path / "out", "--input", "imagenet", "--data", str(data))
    assert found.evidence is not None
    assert found.evidence.queries == 12
    assert "cosine to" in capsys.readouterr().out


def test_a_network_that_is_not_the_same_is_refused(tmp_path: Path) -> None:
    """Its descriptors depend on who else is in the batch; no file is left."""
    network = write_foreign_network(tmp_path / "foreign.onnx", mixes_images=True, classifies=False)
    with pytest.raises(ExportError, match=r"is not .*foreign\.onnx: expected a cosine .* dynamic batch; no file"):
        adopt(network, tmp_path / "out", "--input", "imagenet")
    assert list((tmp_path / "out").iterdir()) == []


def test_several_outputs_are_asked_about(tmp_path: Path) -> None:
    """The scores of training people are no descriptor."""
    network = write_foreign_network(tmp_path / "foreign.onnx")
    with pytest.raises(ExportError, match=r"2 outputs: logits float32 \(1, 5\), features float32 \(1, 12\); name"):
        adopt(network, tmp_path / "out", "--input", "imagenet")


def test_what_is_not_stated_is_asked_for(tmp_path: Path) -> None:
    """Nothing is guessed: not the pixels, not the terms."""
    network = write_foreign_network(tmp_path / "foreign.onnx")
    with pytest.raises(ExportError, match="add --input, --licence, --trained-on, --source, or --public NAME"):
        main([str(network), "--output", str(tmp_path)])


def test_a_network_with_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    """One digest could not cover it."""
    network = write_foreign_network(tmp_path / "foreign.onnx", classifies=False)
    onnx.save(onnx.load(network), network, save_as_external_data=True, size_threshold=0)
    with pytest.raises(ExportError, match="keeps its weights in another file; save it again"):
        adopt(network, tmp_path / "out", "--input", "imagenet")


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"not a network", "is not a whole ONNX file"), (b"", "is not a whole ONNX file")],
)
def test_what_is_no_network_is_refused(tmp_path: Path, content: bytes, expected: str) -> None:
    """One sentence."""
    (tmp_path / "foreign.onnx").write_bytes(content)
    with pytest.raises(ExportError, match=expected):
        adopt(tmp_path / "foreign.onnx", tmp_path / "out", "--input", "imagenet")


def test_an_ir_is_answered_with_the_commands_that_convert_it(tmp_path: Path) -> None:
    """Exact enough to be copied."""
    with pytest.raises(ExportError) as caught:
        main(["net.xml", "--output", str(tmp_path)])
    assert "openvino2onnx -v 17 net.xml net.onnx\n" in str(caught.value)
    assert "python export/adopt.py net.onnx --original net.xml" in str(caught.value)


def test_a_file_without_a_manifest_leads_here(tmp_path: Path) -> None:
    """Whoever gives another toolkit's file to a command is told of this one."""
    with pytest.raises(ManifestError, match=r"taken in by export/adopt\.py"):
        read_manifest(write_foreign_network(tmp_path / "foreign.onnx"))


def test_a_manifest_by_hand_is_seen_through(tmp_path: Path, data: Path, images: Path) -> None:
    """Another network's manifest beside a foreign file: one sentence, which leads here."""
    own = write_tiny_network(tmp_path)
    foreign = write_foreign_network(tmp_path / "foreign.onnx", classifies=False)
    manifest = read_manifest(own)
    artefact = manifest.artefact.model_copy(update={"sha256": hash_file(foreign), "file": foreign.name})
    own.unlink()
    write_manifest(manifest.model_copy(update={"artefact": artefact}), foreign)
    options = ["--int8", "--calibration", str(images), "--data", str(data), "--backend", "onnxruntime"]
    with pytest.raises(ExportError, match=r"does not fit its manifest: .*found images float .*export/adopt\.py"):
        build_engine.main([str(foreign), *options])


@pytest.mark.timeout(900)  # the first run downloads about 150 MB
def test_tensorrt_builds_an_adopted_network(tensorrt_site: Path, tmp_path: Path) -> None:
    """A real parser and builder take it, for any number of images."""
    network = write_foreign_network(tmp_path / "foreign.onnx", normalises=True)
    adopt(network, tmp_path / "out", "--input", "bgr-255", "--descriptor", "features")
    done = build(tensorrt_site, tmp_path / "out/foreign.onnx")
    assert done.returncode == 0, done.stderr

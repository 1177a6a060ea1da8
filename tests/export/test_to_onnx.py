"""Checkpoints to ONNX files."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import fx

from edge_runtime.contract.descriptor import normalise
from edge_runtime.contract.errors import CheckpointError, ConfigError, ExportError, ManifestError
from edge_runtime.contract.manifest import Artefact, hash_file, manifest_path, read_manifest, space_id, write_manifest
from edge_runtime.engine.catalog import open_engine
from export.graph import deploy as deploy_graph
from export.graph.deploy import DeployedNetwork
from export.to_onnx import main
from tests.support.market_folder import write_market_folder
from tests.support.small_osnet import (
    FACTS,
    HEIGHT_PX,
    WIDTH_PX,
    calibrated,
    export_small_osnet,
    write_public_checkpoint,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint and its two ONNX files."""
    folder = tmp_path_factory.mktemp("exported")
    export_small_osnet(folder, "--half")
    return folder


@pytest.fixture
def checkpoint(exported: Path, tmp_path: Path) -> Path:
    """A checkpoint of ours: the same weights, with a manifest beside them."""
    path = tmp_path / "best.pth"
    path.write_bytes((exported / "osnet.pth").read_bytes())
    manifest = read_manifest(exported / "osnet.onnx")
    artefact = Artefact(kind="checkpoint", file=path.name, sha256=hash_file(path))
    build = manifest.build.model_copy(update={"backend": "torch"})
    write_manifest(manifest.model_copy(update={"artefact": artefact, "build": build}), path)
    return path


@pytest.mark.parametrize(("name", "atol"), [("osnet.onnx", 1e-5), ("osnet_fp16.onnx", 5e-3)])
def test_the_file_describes_as_the_checkpoint_does(exported: Path, name: str, atol: float) -> None:
    """Float32 to summation order, float16 to its 11 bits; in batches of any size."""
    pixels = np.random.default_rng(5).integers(0, 256, (5, HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    with open_engine(exported / name) as engine, torch.inference_mode():
        network = DeployedNetwork(calibrated("osnet_x0_25"), engine.manifest.input).eval()
        expected = normalise(network(torch.from_numpy(pixels)).numpy())
        np.testing.assert_allclose(engine.describe(pixels), expected, atol=atol)


def test_the_files_follow_the_rules_of_tensorrt_8(exported: Path) -> None:
    """Opset 17, only the batch is dynamic, uint8 in and a cast first, float32 out."""
    for name in ("osnet.onnx", "osnet_fp16.onnx"):
        model = onnx.load(exported / name)
        assert [entry.version for entry in model.opset_import] == [17]
        [pixels], [descriptor] = model.graph.input, model.graph.output
        sizes = [[d.dim_param or d.dim_value for d in t.type.tensor_type.shape.dim] for t in (pixels, descriptor)]
        assert sizes == [["batch", HEIGHT_PX, WIDTH_PX, 3], ["batch", 512]]
        assert [node.op_type for node in model.graph.node if "pixels" in node.input] == ["Cast"]
        assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
        assert descriptor.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_manifests_name_precision_space_and_parent(exported: Path) -> None:
    """Both files are of one space and one checkpoint; the facts are those that were stated."""
    single, half = read_manifest(exported / "osnet.onnx"), read_manifest(exported / "osnet_fp16.onnx")
    assert (single.build.precision, half.build.precision) == ("fp32", "fp16")
    assert single.space_id == half.space_id
    assert single.artefact.parent_sha256 == half.artefact.parent_sha256 == hash_file(exported / "osnet.pth")
    assert single.model_id == f"osnet_x0_25-patterns-{single.weights_sha256[:8]}"
    assert (single.artefact.opset, single.descriptor.length, single.terms.weights) == (17, 512, "none")


def test_half_precision_takes_half_the_space(exported: Path) -> None:
    """Weights are stored as float16, not cast at run time."""
    assert (exported / "osnet_fp16.onnx").stat().st_size < 0.7 * (exported / "osnet.onnx").stat().st_size


def test_a_checkpoint_of_ours_needs_no_facts(checkpoint: Path, tmp_path: Path) -> None:
    """Its manifest holds them; scores on given data go into the new one, next to the checkpoint's own."""
    data = write_market_folder(tmp_path / "patterns")
    assert main([str(checkpoint), "--output", str(tmp_path / "models"), "--data", str(data)]) == 0
    manifest = read_manifest(tmp_path / "models" / "best.onnx")
    assert manifest.artefact.parent_sha256 == hash_file(checkpoint)
    assert manifest.evidence is not None
    assert manifest.evidence.to_parent is not None
    assert manifest.evidence.to_parent.cosine_min > 1 - 1e-6
    assert manifest.evidence.parent_rank1 == manifest.evidence.rank1.value


def test_another_network_is_not_overwritten(checkpoint: Path, tmp_path: Path) -> None:
    """Every run of training calls its checkpoint model.pth; the same network may be exported again."""
    command = [str(checkpoint), "--output", str(tmp_path / "models")]
    assert main(command) == 0
    assert main(command) == 0
    path = tmp_path / "models" / "best.onnx"
    manifest = read_manifest(path)
    weights = "0" * 64
    write_manifest(
        manifest.model_copy(
            update={
                "weights_sha256": weights,
                "model_id": "osnet_x0_25-other-00000000",
                "space_id": space_id(weights, manifest.input, descriptor=manifest.descriptor),
            }
        ),
        path,
    )
    with pytest.raises(ExportError, match="holds another network, osnet_x0_25-other-00000000; choose another --output"):
        main(command)


@pytest.mark.parametrize("written", ["best.onnx", "best.onnx.json"])
def test_a_full_disk_is_said_with_the_file(checkpoint: Path, tmp_path: Path, written: str) -> None:
    """The system's own error names none."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{written}.partial").symlink_to("/dev/full")
    with pytest.raises((ExportError, ManifestError), match=rf"cannot write .*/{written}: No space left on device"):
        main([str(checkpoint), "--output", str(tmp_path / "models")])


def test_facts_that_a_manifest_states_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    """Two sources for one fact would have to be reconciled by guessing."""
    with pytest.raises(ExportError, match="has a manifest, which states what --height would"):
        main([str(checkpoint), "--output", str(tmp_path), "--height", "64"])


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    """Before anybody asks for its manifest or its facts."""
    with pytest.raises(ExportError, match=r"there is no checkpoint at .*model\.pth; give the model\.pth of a run"):
        main([str(tmp_path / "model.pth"), "--output", str(tmp_path)])


def test_missing_facts_are_listed(exported: Path, tmp_path: Path) -> None:
    """A public checkpoint cannot say what it was trained on; the options that do are named, all at once."""
    with pytest.raises(ExportError, match=r"no manifest .*add --data-set, --licence, --height, --width$"):
        main([str(_public(exported, tmp_path)), "--output", str(tmp_path), "--architecture", "osnet_x0_25"])


def _public(exported: Path, folder: Path) -> Path:
    path = folder / "public.pth"
    path.write_bytes((exported / "osnet.pth").read_bytes())
    return path


@pytest.mark.parametrize(
    ("option", "value", "error", "message"),
    [
        ("--architecture", "osnet_x0_5", CheckpointError, "belongs to another network"),
        ("--architecture", "vgg", ConfigError, "unknown architecture 'vgg'"),
        ("--data-set", "My Set", ExportError, "these facts make no manifest: model_id"),
        ("--height", "-4", ExportError, "these facts make no manifest: height_px"),
        ("--height", "8", ExportError, "cannot take images of 8 x 32 pixels"),
        ("--height", "999999999", ExportError, "cannot take images of 999999999 x 32 pixels"),
    ],
)
def test_wrong_facts_are_refused(
    exported: Path, tmp_path: Path, option: str, value: str, error: type[Exception], message: str
) -> None:
    """Each ends in a sentence that names the fact."""
    facts = list(FACTS)
    facts[facts.index(option) + 1] = value
    with pytest.raises(error, match=message):
        main([str(_public(exported, tmp_path)), "--output", str(tmp_path / "models"), *facts])
    assert not list((tmp_path / "models").glob("*"))


@pytest.mark.parametrize("content", [b"", b"root:x:0:0:root:/root:/bin/bash\n", b"\x80\x02K", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    """Whatever the reader stumbles over, the user reads one sentence."""
    path = tmp_path / "foreign.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"foreign\.pth is not a checkpoint that can be read"):
        main([str(path), "--output", str(tmp_path / "models"), *FACTS])


def test_a_rewrite_that_changes_descriptors_is_found(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof against the checkpoint does not trust the rewrites; nothing is left behind."""

    def damage(traced: fx.GraphModule) -> None:
        next(traced.parameters()).data *= 1.01

    monkeypatch.setitem(deploy_graph.GRAPHS, "stack", (*deploy_graph.GRAPHS["stack"], damage))
    with pytest.raises(ExportError, match=r"not the checkpoint's network: expected a cosine of at least 0\.999999"):
        main([str(_public(exported, tmp_path)), "--output", str(tmp_path / "models"), *FACTS])
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.parametrize(("bias", "says"), [(-1.0, "by zeros alone"), (1.0, "alike")])
def test_a_dead_network_is_refused_as_such(tmp_path: Path, bias: float, says: str) -> None:
    """No picture reaches its descriptor, which is all zeros or always the same."""
    path = write_public_checkpoint(tmp_path)
    state = torch.load(path, weights_only=True)["state_dict"]
    state["fc.1.weight"].zero_()
    state["fc.1.bias"].fill_(bias)
    torch.save(state, path)
    with pytest.raises(ExportError, match=f"the network is dead: it describes 16 different pictures {says}"):
        main([str(path), "--output", str(tmp_path / "models"), *FACTS])
    assert not list((tmp_path / "models").iterdir())


def _with_weight(folder: Path, value: float) -> Path:
    path = write_public_checkpoint(folder)
    content = torch.load(path, weights_only=True)
    content["state_dict"]["conv5.conv.weight"][0, 0] = value
    torch.save(content, path)
    return path


def test_weights_beyond_float16_are_refused(tmp_path: Path) -> None:
    """Infinity would spread to every descriptor; the float32 file is fine and stays."""
    path = _with_weight(tmp_path, 1e6)
    with pytest.raises(ExportError, match=r"the weights conv5\.conv\.weight exceed 65504.*without --half"):
        main([str(path), "--output", str(tmp_path / "models"), "--half", *FACTS])
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"osnet.onnx", "osnet.onnx.json"}


def test_weights_below_float16_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Small weights lose digits; the user reads how many."""
    assert main([str(_with_weight(tmp_path, 1e-6)), "--output", str(tmp_path), "--half", *FACTS]) == 0
    assert "below float16's normal range" in capsys.readouterr().out


def test_activations_beyond_float16_are_refused(tmp_path: Path) -> None:
    """The weights fit, but what they make of the least image does not: float16 would give infinity."""
    path = write_public_checkpoint(tmp_path)
    content = torch.load(path, weights_only=True)
    for name in ("conv5.bn.weight", "fc.1.weight"):
        content["state_dict"][name] *= 3e3
    torch.save(content, path)
    with pytest.raises(
        ExportError, match=r"float16 ends at 65504, and fc reaches .* in float32; export without --half"
    ):
        main([str(path), "--output", str(tmp_path / "models"), "--half", *FACTS])


def test_a_graph_is_chosen_or_asked_for(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table's choice is said with what decided it; another graph is the same function in fewer nodes."""
    path = str(_public(exported, tmp_path))
    assert main([path, "--output", str(tmp_path / "auto"), "--backend", "tensorrt", *FACTS]) == 0
    assert "graph for tensorrt: end_dense (benchmarks/records/cpu-epyc/kernels_ten" in capsys.readouterr().out
    assert main([path, "--output", str(tmp_path / "end"), "--graph", "end_dense", *FACTS]) == 0
    assert "graph end_dense with 174 nodes (95 GPU kernels)" in capsys.readouterr().out


def test_an_output_that_is_no_folder_is_refused(exported: Path, tmp_path: Path) -> None:
    """One sentence, no traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match="cannot make the folder"):
        main([str(_public(exported, tmp_path)), "--output", str(tmp_path / "file"), *FACTS])


@pytest.mark.shared_data
def test_a_checkpoint_of_the_public_zoo_is_exported(shared_data: Path, tmp_path: Path) -> None:
    """OSNet x0.25 trained on MSMT17 by others, at its own size."""
    size = ["--height", "256", "--width", "128"]
    facts = ["--architecture", "osnet_x0_25", "--data-set", "msmt17", "--licence", "MIT, MSMT17: research only", *size]
    assert main([str(shared_data / "osnet_x0_25_msmt17.pth"), "--output", str(tmp_path), *facts]) == 0
    path = tmp_path / "osnet_x0_25_msmt17.onnx"
    assert path.stat().st_size < 1.5e6
    assert manifest_path(path).exists()

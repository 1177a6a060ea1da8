"""When an engine is built, used again, or refused as stale."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import manifest_path, read_manifest, write_manifest
from export.building.backends import EngineKind
from export.building.engine_build import EngineBuild, copy_engine, decide_build, is_built, make_engine, refuse_stale
from export.building.tensorrt_builder import BatchSizes
from tests.support.tensorrt_site import ROOT, environment
from tests.support.tiny_network import write_tiny_network


def _decide(model: Path, *, batch: tuple[int, int, int] = (1, 4, 8)) -> EngineBuild:
    kind = EngineKind("fp32", "onnxruntime")
    return decide_build(model, kind, parent=model, batch=BatchSizes(*batch), output=model.with_name("engine.onnx"))


@pytest.fixture
def built(tmp_path: Path) -> EngineBuild:
    """A build whose engine lies at its place."""
    build = _decide(write_tiny_network(tmp_path))
    make_engine(build, build.output)
    return build


def test_deciding_what_to_build_writes_nothing(tmp_path: Path) -> None:
    """A build is known, with the place of its engine, before anything is made."""
    model = write_tiny_network(tmp_path)
    before = set(tmp_path.iterdir())
    build = decide_build(model, EngineKind("fp32", "openvino"), parent=model, batch=BatchSizes(1, 4, 8))
    assert build.output == tmp_path / "tiny_fp32_openvino.onnx"
    assert build.title == "fp32 openvino"
    assert set(tmp_path.iterdir()) == before


def test_an_engine_of_the_same_key_is_used_again(built: EngineBuild, tmp_path: Path) -> None:
    """Same network, batch sizes and device; the copy is that engine, byte by byte, and has no evidence yet."""
    refuse_stale([built])
    assert is_built(built)
    manifest = copy_engine(built, tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == built.output.read_bytes()
    assert manifest == read_manifest(tmp_path / "copy.onnx")
    assert manifest.evidence is None


def test_an_engine_of_another_network_is_stale(built: EngineBuild) -> None:
    """The model was exported anew: its digest differs, and the sentence says which."""
    before = built.entry.network_sha256
    write_tiny_network(built.output.parent, seed=1)
    build = _decide(built.network)
    assert not is_built(build)
    with pytest.raises(
        ExportError, match=rf"not of this build: network_sha256 was {before}, now .*; replace it with --force"
    ):
        refuse_stale([build])


def test_an_engine_for_other_batch_sizes_is_stale(built: EngineBuild) -> None:
    """A profile is part of what is built."""
    with pytest.raises(ExportError, match=r"batch was \(1, 4, 8\), now \(1, 4, 16\)"):
        refuse_stale([_decide(built.network, batch=(1, 4, 16))])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tensorrt", "10.3.0"),
        ("cuda", "12.6"),
        ("gpu", "Orin"),
        ("compute_capability", "8.7"),
        ("workspace_mib", 64),
        ("optimisation_level", 5),
        ("precision", "fp16"),
        ("kept_higher", ("gates",)),
    ],
)
def test_whatever_decides_the_bytes_is_part_of_the_key(built: EngineBuild, field: str, value: object) -> None:
    """An engine of another device, TensorRT or setting is named as such."""
    manifest = read_manifest(built.output)
    changed = manifest.build.model_copy(update={field: value})
    write_manifest(manifest.model_copy(update={"build": changed}), built.output)
    assert not is_built(built)
    with pytest.raises(ExportError, match=f"{field} was "):
        refuse_stale([built])


def test_a_changed_engine_is_stale(built: EngineBuild) -> None:
    """Its digest is not that of its manifest; a file without a manifest is not ours at all."""
    built.output.write_bytes(built.output.read_bytes()[:-1])
    with pytest.raises(ExportError, match=r"is not the file its manifest describes: .*; replace it with --force"):
        refuse_stale([built])
    manifest_path(built.output).unlink()
    with pytest.raises(ExportError, match="it has no manifest"):
        refuse_stale([built])


BUILD = """
import json, sys
from pathlib import Path
import tensorrt
from export.building import tensorrt_builder
from export.building.backends import EngineKind
from export.building.engine_build import copy_engine, decide_build, is_built, make_engine

model, output = map(Path, sys.argv[1:])
written = []

class Builder(tensorrt.Builder):
    def build_serialized_network(self, *arguments):
        written.append(bytes(tensorrt.Builder.build_serialized_network(self, *arguments)))
        return written[-1]

original = tensorrt_builder._open_builder
tensorrt_builder._open_builder = lambda trt: Builder(tensorrt_builder.tensorrt_log())
batch = tensorrt_builder.BatchSizes(1, 4, 8)
build = decide_build(model, EngineKind("fp32", "tensorrt"), parent=model, batch=batch, output=output)
make_engine(build, output)
again = output.with_name("again.engine")
copy_engine(build, again)
print(json.dumps({
    "is_tensorrts_own": output.read_bytes() == written[0],
    "builds": len(written),
    "is_built": is_built(build),
    "is_same": again.read_bytes() == output.read_bytes(),
}))
"""


@pytest.mark.timeout(900)  # the first run downloads about 150 MB
def test_a_plan_is_nothing_but_tensorrts_bytes(tensorrt_site: Path, tmp_path: Path) -> None:
    """No header of ours, so `trtexec --loadEngine` takes it; a copy of it is not built again."""
    model, output = write_tiny_network(tmp_path), tmp_path / "tiny.engine"
    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(model), str(output)],
        env=environment(tensorrt_site), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["is_tensorrts_own"], found["builds"], found["is_built"], found["is_same"]) == (True, 1, True, True)
    build = read_manifest(output).build
    assert (build.backend, build.workspace_mib, build.optimisation_level) == ("tensorrt", 512, 3)

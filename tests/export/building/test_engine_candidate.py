"""Which of the built engines are accepted, and the table that shows them."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import Build, Input, read_manifest
from export.acceptance.acceptance_images import images_of_data
from export.acceptance.comparison import compare_engines
from export.building.backends import EngineKind
from export.building.engine_build import EngineBuild, decide_build
from export.building.engine_candidate import EngineCandidate, choose_fastest, format_candidates, time_engines
from export.building.tensorrt_builder import BatchSizes
from tests.support.market_folder import write_market_folder
from tests.support.tiny_network import HEIGHT_PX, WIDTH_PX, write_tiny_network
from train.datasets.catalog import open_folder


@pytest.fixture
def candidate(tmp_path: Path) -> EngineCandidate:
    """INT8 by name, the float32 network in truth; half as fast as its parent."""
    model = write_tiny_network(tmp_path)
    data = open_folder(write_market_folder(tmp_path / "patterns"))
    comparison = compare_engines(
        model, model, images=images_of_data(data, Input(height_px=HEIGHT_PX, width_px=WIDTH_PX))
    )
    build = decide_build(model, EngineKind("fp32", "onnxruntime"), parent=model, batch=BatchSizes(1, 4, 8))
    build = replace(build, entry=build.entry.model_copy(update={"kept_higher": ("descriptor",)}))
    return EngineCandidate(_named(build, "int8"), model, read_manifest(model), comparison, None, 4.0, 2.0)


def _named(build: EngineBuild, precision: str) -> EngineBuild:
    return replace(build, entry=Build.model_validate(build.entry.model_dump() | {"precision": precision}))


def test_slower_than_float32_is_a_fault_unless_it_is_allowed(candidate: EngineCandidate) -> None:
    """A float32 engine is never refused for its speed: it is the reference."""
    assert "is slower than its float32 parent: 4.00 ms" in (candidate.fault(allow_slower=False) or "")
    assert candidate.fault(allow_slower=True) is None
    assert replace(candidate, median_ms=1.9).fault(allow_slower=False) is None
    assert replace(candidate, build=_named(candidate.build, "fp32")).fault(allow_slower=False) is None


def test_what_loses_too_much_is_refused_however_fast(candidate: EngineCandidate) -> None:
    """And the flag for slow engines does not let it pass."""
    lossy = replace(candidate, excess="9 points of mAP lost", median_ms=0.1)
    fault = lossy.fault(allow_slower=True) or ""
    assert fault.startswith("is not good enough: 9 points of mAP lost; let export/building/sensitivity.py measure")
    planned = replace(
        lossy, build=replace(lossy.build, entry=lossy.build.entry.model_copy(update={"kept_higher": ("stem",)}))
    )
    assert "leave more in float" in (planned.fault(allow_slower=True) or "")
    half = replace(lossy, build=_named(candidate.build, "fp16"))
    assert half.fault(allow_slower=True) == "is not good enough: 9 points of mAP lost"


def test_the_table_names_every_engine_fastest_first(candidate: EngineCandidate) -> None:
    """Time, times float32, losses and verdict."""
    fast = replace(candidate, build=_named(candidate.build, "fp16"), median_ms=1.0, excess="9 points of mAP lost")
    lines = format_candidates([candidate, fast], measured="by hand").splitlines()
    assert " ".join(lines[1].split()) == "fp16 onnxruntime 1.00 2.00 0.00 0.00 0.00000 9 points of mAP lost"
    assert " ".join(lines[2].split()) == "int8 onnxruntime 4.00 0.50 0.00 0.00 0.00000 good enough"
    assert lines[3] == "by hand"


def test_the_fastest_that_is_good_enough_is_kept(candidate: EngineCandidate) -> None:
    """Speed does not make up for losses; where none is good enough, the sentence names each with its fault."""
    lossy = replace(candidate, excess="9 points of mAP lost", median_ms=0.1)
    good = replace(candidate, build=_named(candidate.build, "fp32"), median_ms=3.0)
    assert choose_fastest([candidate, lossy, good], allow_slower=False) is good
    assert choose_fastest([candidate, lossy], allow_slower=True) is candidate
    with pytest.raises(ExportError, match=r"the int8 .* is slower .*; the int8 .* 9 points .*; no engine was written"):
        choose_fastest([candidate, lossy], allow_slower=False)


def test_every_engine_is_timed(candidate: EngineCandidate) -> None:
    """The parent first, then the candidates in their order; what the machine was is said."""
    medians, measured = time_engines(candidate.path, [candidate.path, candidate.path], batch=2)
    assert len(medians) == 3
    assert min(medians) > 0
    assert measured.startswith("batches of 2, one thread of ")
    assert "float32 by onnxruntime" in measured

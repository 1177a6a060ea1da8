"""Score engines on one data set, each alone and with queries and gallery by different engines; write a record."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from edge_runtime.contract.errors import ConfigError, EngineError, ManifestError
from edge_runtime.contract.manifest import Evidence, Fidelity, Manifest, Score
from edge_runtime.contract.script import ScriptParser, run
from export.acceptance.comparison import fidelity
from train.datasets.catalog import ReidData, open_data, open_folder
from train.models.open_model import open_model
from train.scoring.scoring import Described, Member, describe_split, evidence, score

_EXAMPLES = """\
examples:
  python benchmarks/accuracy.py edge_runtime/models/*.onnx --data /data/cuhk03_np_detected
  python benchmarks/accuracy.py model.pth model.onnx model_int8.engine --data /data/market1501 --output scores.json
"""


@dataclass(frozen=True)
class EngineScores:
    """One engine's scores. to_first: how close its descriptors are to the first engine's of the same space."""

    file: str
    model_id: str
    space: str
    architecture: str
    input: tuple[int, int]
    precision: str
    backend: str
    runs_on: str
    size_mb: float
    sha256: str
    trained_on: str
    rank1: Score
    mean_ap: Score
    mean_inp: Score
    to_first: Fidelity | None


@dataclass(frozen=True)
class CrossScores:
    """Queries described by one engine, gallery by another, because a fleet mixes precisions."""

    query: str
    gallery: str
    rank1: Score
    mean_ap: Score


@dataclass(frozen=True)
class DescribedEngine:
    """An engine, and its descriptors of query and gallery."""

    path: Path
    manifest: Manifest
    runs_on: str
    query: Described
    gallery: Described


def main(argv: list[str] | None = None) -> int:
    """Print tables and write the record. Returns the exit code: 1 where an engine could not be scored."""
    arguments = _parser().parse_args(argv)
    names = [path.name for path in arguments.engines]
    if len(set(names)) < len(names):
        raise ConfigError(f"expected engines with different file names, found {', '.join(map(str, arguments.engines))}")
    data = open_data(arguments.data_set, arguments.data) if arguments.data_set else open_folder(arguments.data)
    output = arguments.output or record_folder() / f"accuracy_{data.name}.json"
    scored, faults = _describe_all(arguments.engines, data)
    evidences = [evidence(score(one.query, one.gallery), data) for one in scored]
    results = [_result(one, found, scored=scored) for one, found in zip(scored, evidences, strict=True)]
    crossings = [_cross(one, other, data=data) for one in scored for other in scored if may_meet(one, other)]
    record = record_head("accuracy") | {
        "data_set": data.name,
        "protocol": evidences[0].protocol,
        "queries": evidences[0].queries,
        "gallery": evidences[0].gallery,
        "method": "95 % intervals by bootstrap over queries; crossings: queries by one engine, gallery by the other",
        "engines": [asdict(one) for one in results],
        "crossings": [asdict(one) for one in crossings],
        "faults": faults,
    }
    write_record(output, record)
    print(_table(results))
    print("\n".join(_crossing_line(one) for one in crossings))
    print(f"{data.name}, {evidences[0].queries} queries, {evidences[0].gallery} gallery images; record: {output}")
    return int(bool(faults))


def _describe_all(paths: Sequence[Path], data: ReidData) -> tuple[list[DescribedEngine], dict[str, str]]:
    """Every engine that runs, and the reason of each that does not.

    Raises:
        ConfigError, EngineError, ManifestError: none runs; the error of the last one.
    """
    scored: list[DescribedEngine] = []
    faults: dict[str, str] = {}
    for path in paths:
        try:
            scored.append(_describe(path, data))
        except (ConfigError, EngineError, ManifestError) as error:
            if len(faults) == len(paths) - 1:
                raise
            faults[path.name] = str(error)
            print(f"{path} is left out: {error}", file=sys.stderr)
    return scored, faults


def _describe(path: Path, data: ReidData) -> DescribedEngine:
    with ExitStack() as stack:
        opened = open_model(path, stack)
        member = Member(opened.describe, opened.manifest.input)
        query = describe_split(member, data.query, label=f"{path.name}: query")
        gallery = describe_split(member, data.gallery, label=f"{path.name}: gallery")
    return DescribedEngine(path, opened.manifest, opened.runs_on, query, gallery)


def _result(one: DescribedEngine, found: Evidence, *, scored: Sequence[DescribedEngine]) -> EngineScores:
    manifest = one.manifest
    first = next(other for other in scored if other.manifest.space_id == manifest.space_id)
    return EngineScores(
        file=one.path.name,
        model_id=manifest.model_id,
        space=manifest.space_id,
        architecture=manifest.architecture,
        input=(manifest.input.height_px, manifest.input.width_px),
        precision=manifest.build.precision,
        backend=manifest.build.backend,
        runs_on=one.runs_on,
        size_mb=round(one.path.stat().st_size / 1e6, 2),
        sha256=manifest.artefact.sha256,
        trained_on=manifest.terms.training_data,
        rank1=found.rank1,
        mean_ap=found.mean_ap,
        mean_inp=found.mean_inp,
        to_first=None if first is one else fidelity(_rows(first), _rows(one)),
    )


def _rows(one: DescribedEngine) -> NDArray[np.float32]:
    return np.concatenate([one.query.descriptors, one.gallery.descriptors])


def may_meet(one: DescribedEngine, other: DescribedEngine) -> bool:
    """Two different engines whose descriptors may be compared."""
    return one is not other and one.manifest.space_id == other.manifest.space_id


def _cross(one: DescribedEngine, other: DescribedEngine, *, data: ReidData) -> CrossScores:
    found = evidence(score(one.query, other.gallery), data)
    return CrossScores(one.path.name, other.path.name, found.rank1, found.mean_ap)


def _table(results: Sequence[EngineScores]) -> str:
    rows = [f"{'engine':44}{'rank-1 %':>24}{'mAP %':>24}{'mINP %':>24}{'least cosine':>14}"]
    for one in results:
        scores = "".join(f"{_percent(found):>24}" for found in (one.rank1, one.mean_ap, one.mean_inp))
        rows.append(f"{one.file:44}{scores}{f'{one.to_first.cosine_min:.4f}' if one.to_first else '-':>14}")
    return "\n".join(rows)


def _crossing_line(one: CrossScores) -> str:
    return f"queries {one.query}, gallery {one.gallery}: rank-1 {_percent(one.rank1)}, mAP {_percent(one.mean_ap)}"


def _percent(found: Score) -> str:
    return f"{100 * found.value:.2f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="edge_runtime/models/*.onnx --data DATA",
        next_step="python benchmarks/pareto.py puts accuracy beside latency",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "engines", type=Path, nargs="+", help="checkpoints, ONNX files or engines, each beside its manifest"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--data-set", help="name of the data set (default: by the folder's name and layout)")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/accuracy_DATASET.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

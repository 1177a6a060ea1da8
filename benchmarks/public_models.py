"""Score public networks that were adopted, on people they may not know: street clips and data sets; write a record."""

import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.street_clips import add_clip_options, open_street
from benchmarks.street import StreetScores, score_on_street
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Evidence, Manifest, read_manifest
from edge_runtime.contract.model_list import read_public_models
from edge_runtime.contract.script import ScriptParser, run
from export.building.engine_candidate import time_engines
from train.datasets.catalog import ReidData, open_folder
from train.models.open_model import open_model
from train.models.teacher import open_teacher
from train.scoring.scoring import Member, describe_split, evidence, score

_BATCH = 8
_EXAMPLES = """\
examples, with networks of `reid-edge fetch` that export/adopt.py or export/to_onnx.py took in:
  python benchmarks/public_models.py models/*.onnx --clip TUD-Campus.webm TUD-Campus.gt.txt \\
    --clip TUD-Stadtmitte.webm TUD-Stadtmitte.gt.txt --data /data/cuhk03_np_detected
  and timed, with the INT8 engines that export/build_engine.py made of them for OpenVINO:
  python benchmarks/public_models.py models/*.onnx --time
"""


@dataclass(frozen=True)
class PublicScores:
    """One network's. name: its row in export/models.json. street: on the clips. data_sets: by name."""

    name: str
    model_id: str
    weights_sha256: str
    precision: str
    street: StreetScores
    data_sets: dict[str, Evidence]


def main(argv: list[str] | None = None) -> int:
    """Score, print and write the record after each network. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    if arguments.time:
        return _time(arguments.networks, arguments.output or record_folder() / "public_models_time.json")
    if not arguments.clip:
        raise ConfigError("expected --clip VIDEO TRUTH to score on, or --time")
    output = arguments.output or record_folder() / "public_models.json"
    named = [(path, _row_of(path)) for path in arguments.networks]
    sets = [open_folder(folder) for folder in arguments.data]
    rows: list[PublicScores] = []
    with open_street(arguments) as street:
        assert street is not None, "clips were given"
        for path, name in named:
            rows.append(_score(path, name, street=street, sets=sets))
            print(_line(rows[-1]), flush=True)
            record = {"clips": [video.name for video, _ in arguments.clip], "crops": len(street.query)}
            networks = [
                asdict(row) | {"data_sets": {key: one.model_dump(mode="json") for key, one in row.data_sets.items()}}
                for row in rows
            ]
            write_record(output, record_head("public_models") | record | {"networks": networks})
    print(f"record: {output}")
    return 0


def _row_of(path: Path) -> str:
    """The name of the public network that a file was made from, found by the digest of its weights.

    Raises:
        ConfigError: it is none of export/models.json.
    """
    rows = {row.sha256: row.name for row in read_public_models() if row.task == "re-identification"}
    parent = read_manifest(path).artefact.parent_sha256
    if parent not in rows:
        raise ConfigError(f"{path} was made from no network of export/models.json; known: {', '.join(rows.values())}")
    return rows[parent]


def _time(paths: list[Path], output: Path) -> int:
    """Time the float32 and the INT8 network of each row beside each other, and write the record.

    Raises:
        ConfigError: one of the two is missing.
    """
    manifests = {path: read_manifest(path) for path in paths}
    networks = []
    for path in (path for path in paths if manifests[path].build.precision == "fp32"):
        space = manifests[path].space_id
        quantized = [
            other
            for other in paths
            if manifests[other].space_id == space and manifests[other].build.precision == "int8"
        ]
        if len(quantized) != 1:
            raise ConfigError(f"expected one INT8 engine of {path} beside it, found {len(quantized)}")
        (float32, int8), measured = time_engines(path, quantized, batch=_BATCH)
        networks.append({"name": _row_of(path), "float32_ms": float32 / _BATCH, "int8_ms": int8 / _BATCH})
        print(f"{path.name}: {float32 / _BATCH:.2f} ms, INT8 {int8 / _BATCH:.2f} ms per person; {measured}", flush=True)
    write_record(output, record_head("public_models_time") | {"batch": _BATCH, "networks": networks})
    print(f"record: {output}")
    return 0


def _score(path: Path, name: str, *, street: ReidData, sets: list[ReidData]) -> PublicScores:
    manifest: Manifest = read_manifest(path)
    with ExitStack() as stack:
        on_street = score_on_street(open_teacher(path, stack), street)
        opened = open_model(path, stack)
        member = Member(opened.describe, manifest.input)
        found = {}
        for data in sets:
            query = describe_split(member, data.query, label=f"{name}: query")
            gallery = describe_split(member, data.ranked_gallery, label=f"{name}: gallery")
            found[data.name] = evidence(score(query, gallery), data)
    digest = manifest.artefact.parent_sha256 or ""
    return PublicScores(name, manifest.model_id, digest, manifest.build.precision, on_street, found)


def _line(row: PublicScores) -> str:
    parts = [f"street {100 * row.street.rank1.value:.1f} / {100 * row.street.mean_ap.value:.1f}"]
    parts += [
        f"{name} {100 * one.rank1.value:.1f} / {100 * one.mean_ap.value:.1f}" for name, one in row.data_sets.items()
    ]
    return f"{row.name}: {', '.join(parts)} (rank-1 / mAP %)"


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="models/*.onnx --clip street.mp4 street.txt --data DATA",
        next_step="python benchmarks/readme_tables.py writes the table of public networks",
        examples=_EXAMPLES,
    )
    parser.add_argument("networks", type=Path, nargs="+", help="adopted networks, their manifests beside them")
    add_clip_options(parser)
    parser.add_argument("--data", type=Path, action="append", default=[], help="folder of a data set; several times")
    parser.add_argument(
        "--time", action="store_true", help="time float32 and INT8 instead; on a machine that does nothing else"
    )
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/public_models.json")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

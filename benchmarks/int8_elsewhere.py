"""What INT8 loses on people it was not calibrated on: each rule for ranges, on other data sets and clips; a record."""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import get_args

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from benchmarks.measuring.street_clips import add_clip_options, open_street
from calibration.precision_plan import Method, TargetBackend, default_precision_plan
from calibration.quantization import quantize_file
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.manifest import Fidelity
from edge_runtime.contract.script import ScriptParser, run
from export.acceptance.comparison import fidelity
from train.datasets.catalog import ReidData, open_folder
from train.models.open_model import open_model
from train.scoring.metrics import Interval, Retrieval, bootstrap
from train.scoring.scoring import Described, Member, describe_split, score

_EXAMPLES = """\
examples:
  python benchmarks/int8_elsewhere.py model.onnx --calibration list.json --data /data/cuhk03_np_detected \\
      --elsewhere /data/market1501 --clip street.mp4 street.txt
"""


@dataclass(frozen=True)
class LostElsewhere:
    """Of one network, quantised by one rule, on one set of people: INT8 minus float32, in shares of 1."""

    network: str
    backend: str
    method: str
    people: str
    queries: int
    float_rank1: float
    float_mean_ap: float
    rank1_change: Interval
    mean_ap_change: Interval
    to_float: Fidelity


@dataclass(frozen=True)
class _Scored:
    """Descriptors of a set of people by one network, and what they find."""

    query: Described
    retrieval: Retrieval


def main(argv: list[str] | None = None) -> int:
    """Quantise, score, print, write the record. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    rows: list[LostElsewhere] = []
    with tempfile.TemporaryDirectory() as name, open_street(arguments) as street:
        folder = Path(name)
        people = [*(open_folder(each) for each in arguments.elsewhere), *([street] if street else [])]
        if not people:
            raise ConfigError("expected people to score on: add --elsewhere DATA, or --clip VIDEO TRUTH")
        for model in arguments.models:
            before = [_score(model, data) for data in people]
            for method in arguments.methods:
                int8 = folder / f"{model.stem}_{method}.onnx"
                plan = default_precision_plan(arguments.backend).model_copy(update={"method": method})
                quantize_file(model, int8, image_list=arguments.calibration, data=arguments.data, plan=plan)
                for data, plain in zip(people, before, strict=True):
                    after = _score(int8, data)
                    rows.append(_compare(plain, after, about=(model.stem, arguments.backend, method, data.name)))
                    print(_line(rows[-1]), flush=True)
    head = record_head("int8_elsewhere") | {"calibration": open_folder(arguments.data).name}
    output = arguments.output or record_folder() / f"int8_elsewhere_{arguments.models[0].stem}.json"
    write_record(output, head | {"rows": [asdict(row) for row in rows]})
    print(f"record: {output}")
    return 0


def _score(model: Path, data: ReidData) -> _Scored:
    with ExitStack() as stack:
        opened = open_model(model, stack)
        member = Member(opened.describe, opened.manifest.input)
        query = describe_split(member, data.query, label=model.stem)
        gallery = query if data.gallery is data.query else describe_split(member, data.gallery, label=model.stem)
    return _Scored(query, score(query, gallery))


def _compare(before: _Scored, after: _Scored, *, about: tuple[str, str, str, str]) -> LostElsewhere:
    one, other = before.retrieval, after.retrieval
    return LostElsewhere(
        *about,
        queries=len(one.average_precision),
        float_rank1=one.rank(1),
        float_mean_ap=one.mean_ap,
        rank1_change=bootstrap(other.found_within(1) - one.found_within(1)),
        mean_ap_change=bootstrap(other.average_precision - one.average_precision),
        to_float=fidelity(before.query.descriptors, after.query.descriptors),
    )


def _line(row: LostElsewhere) -> str:
    changes = (("rank-1", row.rank1_change), ("mAP", row.mean_ap_change))
    parts = [f"{name} {100 * c.value:+.2f} ({100 * c.low:+.2f} to {100 * c.high:+.2f})" for name, c in changes]
    return (
        f"{row.network} {row.backend} {row.method} on {row.people}: {', '.join(parts)}, "
        f"mean cosine {row.to_float.cosine_mean:.5f}, {row.queries} queries"
    )


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="MODEL --calibration list.json --data DATA --elsewhere OTHER",
        next_step="export/README.md, on what to do when INT8 loses too much",
        examples=_EXAMPLES,
    )
    parser.add_argument("models", type=Path, nargs="+", help="float32 ONNX files with their manifests")
    parser.add_argument("--calibration", type=Path, required=True, help="image list of calibration/select_images.py")
    parser.add_argument("--data", type=Path, required=True, help="the folder that the image list was made from")
    parser.add_argument("--elsewhere", type=Path, nargs="*", default=[], help="folders of data sets to score on")
    add_clip_options(parser)
    parser.add_argument("--backend", choices=get_args(TargetBackend), default="openvino")
    parser.add_argument("--methods", nargs="+", choices=get_args(Method), default=["max", "descriptor"])
    parser.add_argument("--output", type=Path, help="record (default: in benchmarks/records)")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

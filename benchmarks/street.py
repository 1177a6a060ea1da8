"""Find people again on clips that no network trained on: rank-1, mAP, true pairs at few false ones; write a record."""

import argparse
import json
import sys
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.street_clips import add_clip_options, open_street
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.samples import ReidData
from train.models.teacher import Teacher, open_teacher
from train.scoring.distances import distance_blocks
from train.scoring.metrics import Interval, bootstrap
from train.scoring.scoring import Member, describe_split, score
from train.scoring.verification import verify_pairs

_EXAMPLES = """\
examples:
  python benchmarks/street.py model.pth --clip TUD-Campus.webm TUD-Campus.gt.txt --clip TUD-Stadtmitte.webm \\
      TUD-Stadtmitte.gt.txt --clip-name TUD --clip-terms "CC BY-NC-SA 3.0"
  python benchmarks/street.py first.onnx second.onnx network.xml --clip street.mp4 street.txt --output street.json
"""
_FALSE_SHARE = 0.01


@dataclass(frozen=True)
class StreetScores:
    """Of one network, with 95 % intervals over crops. true_pairs: found where 1 % of the wrong pairs pass."""

    network: str
    sha256: str
    queries: int
    rank1: Interval
    mean_ap: Interval
    true_pairs: Interval
    threshold_cosine: float


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    with open_street(arguments) as data, ExitStack() as stack:
        assert data is not None, "--clip is required"
        print(f"{len({s.identity for s in data.query})} people, {len(data.query)} crops; own second left out")
        rows = []
        for path in arguments.models:
            rows.append(score_on_street(open_teacher(path, stack), data))
            print(_line(rows[-1]), flush=True)
    if arguments.output:
        record = record_head("street") | {"data_set": data.name, "terms": data.terms, "crops": len(data.query)}
        arguments.output.write_text(json.dumps(record | {"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


def score_on_street(network: Teacher, data: ReidData) -> StreetScores:
    """Describe all crops and look for each among the others.

    Raises:
        DataError: nobody is there in two seconds, or there are too few wrong pairs.
    """
    described = describe_split(Member(network.describe, network.input_), data.query, label=network.name)
    result = score(described, described)
    pairs = verify_pairs(
        distance_blocks(described.descriptors, described.descriptors, distance="cosine"),
        query_identities=described.identities,
        gallery_identities=described.identities,
        query_cameras=described.cameras,
        gallery_cameras=described.cameras,
        false_positive_rate=_FALSE_SHARE,
    )
    return StreetScores(
        network=network.name,
        sha256=network.sha256,
        queries=len(result.average_precision),
        rank1=bootstrap(result.found_within(1)),
        mean_ap=bootstrap(result.average_precision),
        true_pairs=pairs.true_positive_interval(),
        threshold_cosine=1 - pairs.threshold,
    )


def _line(row: StreetScores) -> str:
    figures = {"rank-1": row.rank1, "mAP": row.mean_ap, "true pairs at 1 % false": row.true_pairs}
    parts = [f"{name} {100 * f.value:.1f} ({100 * f.low:.1f} to {100 * f.high:.1f})" for name, f in figures.items()]
    return f"{row.network}: {', '.join(parts)}; {row.queries} queries, cosine {row.threshold_cosine:.3f}"


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="MODEL --clip street.mp4 street.txt",
        next_step="train/README.md, on training without labels",
        examples=_EXAMPLES,
    )
    parser.add_argument("models", type=Path, nargs="+", help="as --teacher of train/run.py takes them")
    add_clip_options(parser, required=True)
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write a record")
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

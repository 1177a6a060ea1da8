"""Score a checkpoint, an ONNX file or an engine on a data set: rank-k, mAP and mINP. Several form an ensemble."""

import json
import logging
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.provenance import read_commit, read_utc
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.catalog import ReidData, open_data, open_folder
from train.models.open_model import OpenedModel, open_model
from train.recipes.catalog import find_recipe
from train.recipes.recipe import Evaluation
from train.scoring.distances import Distance
from train.scoring.metrics import Interval, PrecisionRule, Retrieval, bootstrap
from train.scoring.scorable import check_queries, warn_of_other_people
from train.scoring.scoring import Member, protocol, retrieve_on

_EXAMPLES = """\
examples:
  python train/evaluate.py runs/osnet_cuhk03-scratch-seed0/model.pth --data /data/cuhk03_np_detected
  python train/evaluate.py osnet_int8.onnx --data /data/market1501 --data-set market1501 --flip --rerank
  python train/evaluate.py first.onnx second.onnx --data /data/cuhk03_np_detected --output scores.json
"""
_RANKS = (1, 5, 10, 20)


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    evaluation = Evaluation(
        distance=arguments.distance,
        flip=arguments.flip,
        queries=arguments.multi_query or "single",
        rerank=arguments.rerank,
        precision_rule=arguments.precision_rule,
        parts=tuple(arguments.parts.split(",")) if arguments.parts else (),
    )
    if arguments.output:
        _check_output(arguments.output)
    data = open_data(arguments.data_set, arguments.data) if arguments.data_set else open_folder(arguments.data)
    check_queries(data)
    with ExitStack() as stack:
        opened = [open_model(path, stack) for path in arguments.models]
        members = [Member(one.describe, one.manifest.input, one.manifest.descriptor) for one in opened]
        for one in opened:
            warn_of_other_people(one.manifest, data)
        result = retrieve_on(members, data, evaluation=evaluation)
    figures = _figures(result)
    print(_report(opened, data, evaluation=evaluation, result=result, figures=figures))
    if arguments.output:
        record = _record(opened, data, evaluation=evaluation, result=result, figures=figures)
        arguments.output.write_text(json.dumps(record, indent=2) + "\n")
    return 0


def _check_output(path: Path) -> None:
    """Refuse an output path that cannot be written before scoring starts."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"expected the folder {folder} for --output, found none; make it")
    if path.is_dir():
        raise ConfigError(f"expected a file for --output, found the folder {path}; add a file name")


def _figures(result: Retrieval) -> dict[str, Interval]:
    """Every figure that is reported, by its title."""
    return {
        **{f"rank-{k}": bootstrap(result.found_within(k)) for k in _RANKS},
        "mAP": bootstrap(result.average_precision),
        "mINP": bootstrap(result.inverse_negative_penalty),
    }


def _report(
    opened: list[OpenedModel],
    data: ReidData,
    *,
    evaluation: Evaluation,
    result: Retrieval,
    figures: dict[str, Interval],
) -> str:
    lines = [f"{one.manifest.model_id} in {one.manifest.build.precision} by {one.runs_on}" for one in opened]
    if len(opened) > 1:
        lines.append("together")
    lines[-1] += f" on {data.name}:"
    lines += [
        f"  {title:7} {figure.value:.4f}   95 % interval {figure.low:.4f} to {figure.high:.4f}"
        for title, figure in figures.items()
    ]
    valid = len(result.average_precision)
    lines.append(
        f"  {valid} of {result.queries} queries have a right image among {len(data.ranked_gallery)} in the gallery"
    )
    lines.append(f"  protocol: {protocol(evaluation, networks=len(opened), has_cameras=data.has_cameras)}")
    lines += _notes(opened, evaluation)
    return "\n".join(lines)


def _notes(opened: list[OpenedModel], evaluation: Evaluation) -> list[str]:
    """A line for each model whose recipe is scored by another protocol than this one."""
    notes = []
    for name in dict.fromkeys(one.manifest.recipe for one in opened):
        try:
            wanted = find_recipe(name).evaluation
        except ConfigError:  # made elsewhere, or by a recipe that is gone
            continue
        if protocol(wanted) != protocol(evaluation):
            notes.append(f"  recipe {name} is scored by: {protocol(wanted)}")
    return notes


def _record(
    opened: list[OpenedModel],
    data: ReidData,
    *,
    evaluation: Evaluation,
    result: Retrieval,
    figures: dict[str, Interval],
) -> dict[str, object]:
    return {
        "created": read_utc(),
        "commit": read_commit(),
        "models": [
            {
                "model_id": one.manifest.model_id,
                "recipe": one.manifest.recipe,
                "sha256": one.manifest.artefact.sha256,
                "precision": one.manifest.build.precision,
                "runs_on": one.runs_on,
            }
            for one in opened
        ],
        "data_set": data.name,
        "protocol": protocol(evaluation, networks=len(opened), has_cameras=data.has_cameras),
        "evaluation": asdict(evaluation),
        "queries": result.queries,
        "valid_queries": len(result.average_precision),
        "gallery": len(data.ranked_gallery),
        "figures": {title: asdict(figure) for title, figure in figures.items()},
    }


def _parser() -> ScriptParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="runs/RUN/model.pth --data DIR",
        next_step="train/README.md, the researcher's manual",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "models",
        type=Path,
        nargs="+",
        help="checkpoint (.pth), ONNX file or engine, with its manifest beside it; several form an ensemble",
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--data-set", help="name of the data set (default: from the folder's name and layout)")
    parser.add_argument("--distance", choices=get_args(Distance), default="cosine", help="default: %(default)s")
    parser.add_argument("--flip", action="store_true", help="add the descriptor of each image's mirror")
    parser.add_argument(
        "--multi-query",
        choices=("average", "maximum"),
        help="describe a query by all images of its identity and camera, where the data set has them",
    )
    parser.add_argument(
        "--parts", metavar="NAME,NAME", help="compare only these parts of the descriptor (default: all)"
    )
    parser.add_argument("--rerank", action="store_true", help="re-rank by k-reciprocal neighbours (k1 20, k2 6, 0.3)")
    parser.add_argument(
        "--precision-rule",
        choices=get_args(PrecisionRule),
        default="rectangular",
        help="average precision; the Market-1501 toolkit uses the trapezoid (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, help="also write the scores to this JSON file")
    return parser


def command() -> None:
    """The command `reid-evaluate`: ends the process with the exit code."""
    sys.exit(run(main))


if __name__ == "__main__":
    command()

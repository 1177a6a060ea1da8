"""Draw what a model does: what it responds to, what it finds, and how it arranges people."""

import argparse
import logging
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.contract.errors import ConfigError, DataError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import ScriptParser, run
from train.datasets.catalog import ReidData, open_data, open_folder
from train.models.open_model import OpenedModel, open_model
from train.pictures.curves import draw_comparison
from train.pictures.embedding import draw_embedding
from train.pictures.ranking import draw_ranking
from train.scoring.scoring import Member

if TYPE_CHECKING:
    from train.models.checkpoint import LoadedNetwork

Draw = Callable[[argparse.Namespace, Path], None]

_EXAMPLES = """\
examples:
  python train/visualise.py ranking runs/osnet_cuhk03-scratch-seed0/model.pth --data /data/cuhk03_np_detected --worst
  python train/visualise.py ranking models/model_int8.onnx --data /data/cuhk03_np_detected --output /tmp/ranking.png
  python train/visualise.py activations runs/mgn_cuhk03-seed0/model.pth --data /data/cuhk03_np_detected
  python train/visualise.py gates runs/osnet_cuhk03-scratch-seed0/model.pth --data /data/cuhk03_np_detected
  python train/visualise.py embedding runs/osnet_cuhk03-scratch-seed0/model.pth --data /data/cuhk03_np_detected
  python train/visualise.py curves runs/osnet_cuhk03-scratch-seed0 runs/plr_osnet_cuhk03-seed0

The picture goes beside the model, or into the (first) run folder, unless --output says otherwise.
Pictures of people are personal data: keep them where the data set may be kept, never in the repository.
"""
_PEOPLE = "Pictures of people are personal data: keep them where the data set may be kept."
_DESCRIBING = ("ranking", "embedding")
_FORMATS = (".png", ".pdf", ".svg")
_LEAST = {"queries": 1, "images": 1, "clusters": 1, "identities": 1, "seed": 0}
"""The smallest value of each numeric option."""
_NEXT_STEP = "train/README.md, the researcher's manual"
_REPOSITORY = Path(__file__).resolve().parent.parent


def main(argv: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name, least in _LEAST.items():
        if getattr(arguments, name, least) < least:
            raise ConfigError(f"--{name} must be at least {least}, found {getattr(arguments, name)}")
    picture = _picture(arguments)
    arguments.draw(arguments, picture)
    print(picture)
    return 0


def _picture(arguments: argparse.Namespace) -> Path:
    """Path of the picture; refused before the work starts if it cannot be written."""
    if arguments.output is not None:
        picture: Path = arguments.output
        _check_output(picture)
    elif arguments.kind == "curves":
        picture = arguments.runs[0] / "comparison.png"
    else:
        picture = arguments.model.with_name(f"{arguments.model.stem}_{arguments.kind}.png")
    if arguments.kind != "curves":
        _keep_people_out(picture.resolve().parent)
    return picture


def _check_output(picture: Path) -> None:
    folder = picture.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"expected the folder {folder} for --output, found none; make it")
    if picture.is_dir():
        raise ConfigError(f"expected a file for --output, found the folder {picture}; add a file name")
    if picture.suffix not in _FORMATS:
        raise ConfigError(f"expected --output to end in {', '.join(_FORMATS)}, found {picture}")


def _keep_people_out(folder: Path) -> None:
    """Refuse a folder of the repository, except run folders, which git ignores."""
    is_inside = (_REPOSITORY / ".git").exists() and folder.is_relative_to(_REPOSITORY)
    if is_inside and "runs" not in folder.relative_to(_REPOSITORY).parts:
        raise ConfigError(f"this picture is of people, and {folder} is part of the repository; give --output elsewhere")


def _draw_ranking(arguments: argparse.Namespace, picture: Path) -> None:
    data = _open_data(arguments)
    with ExitStack() as stack:
        model = open_model(arguments.model, stack)
        draw_ranking(
            _member(model),
            data,
            picture=picture,
            name=model.manifest.model_id,
            queries=arguments.queries,
            worst_first=arguments.worst,
            seed=arguments.seed,
        )


def _draw_activations(arguments: argparse.Namespace, picture: Path) -> None:
    loaded = _open_network(arguments.model)
    from train.pictures.activations import draw_activations

    data = _open_data(arguments)
    if len(data.query) < arguments.images:
        raise DataError(f"asked for {arguments.images} images, found {len(data.query)} queries in {data.name}")
    drawn = np.random.default_rng(arguments.seed).choice(len(data.query), arguments.images, replace=False)
    draw_activations(loaded, [data.query[position] for position in np.sort(drawn)], picture=picture)


def _draw_gates(arguments: argparse.Namespace, picture: Path) -> None:
    loaded = _open_network(arguments.model)
    from train.pictures.gates import draw_gates

    data = _open_data(arguments)
    draw_gates(
        loaded, data.query + data.ranked_gallery, picture=picture, clusters=arguments.clusters, seed=arguments.seed
    )


def _draw_embedding(arguments: argparse.Namespace, picture: Path) -> None:
    data = _open_data(arguments)
    with ExitStack() as stack:
        model = open_model(arguments.model, stack)
        draw_embedding(
            _member(model),
            data,
            picture=picture,
            name=model.manifest.model_id,
            identities=arguments.identities,
            seed=arguments.seed,
        )


def _draw_curves(arguments: argparse.Namespace, picture: Path) -> None:
    draw_comparison(arguments.runs, picture)


def _open_data(arguments: argparse.Namespace) -> ReidData:
    return open_data(arguments.data_set, arguments.data) if arguments.data_set else open_folder(arguments.data)


def _member(model: OpenedModel) -> Member:
    return Member(model.describe, model.manifest.input)


def _open_network(path: Path) -> "LoadedNetwork":
    """A checkpoint's network, whose maps and gates are drawn."""
    kind = read_manifest(path).artefact.kind
    if kind != "checkpoint":
        raise ConfigError(
            f"expected a checkpoint (.pth), found {path} of the kind {kind}; its maps and gates are needed"
        )
    try:
        from train.models.checkpoint import load_network
    except ImportError as error:
        raise ConfigError(f"{path} is a checkpoint, which needs PyTorch; install the extra `train`") from error
    return load_network(path)


def _parser() -> ScriptParser:
    parser = ScriptParser(purpose=__doc__, shortest="curves runs/RUN", next_step=_NEXT_STEP, examples=_EXAMPLES)
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="KIND", help="`KIND --help` says more")
    ranking = _add(
        kinds, "ranking", draw=_draw_ranking, shows="queries and the gallery images nearest to each, right or wrong"
    )
    ranking.add_argument("--queries", type=int, default=10, metavar="N", help="how many (default: %(default)s)")
    ranking.add_argument("--worst", action="store_true", help="the queries of lowest average precision, worst first")
    activations = _add(
        kinds, "activations", draw=_draw_activations, shows="the regions that a network's branches respond to"
    )
    activations.add_argument("--images", type=int, default=8, metavar="N", help="how many (default: %(default)s)")
    gates = _add(kinds, "gates", draw=_draw_gates, shows="clusters of images with similar values of OSNet's gates")
    gates.add_argument("--clusters", type=int, default=6, metavar="K", help="how many (default: %(default)s)")
    embedding = _add(kinds, "embedding", draw=_draw_embedding, shows="descriptors of some people as points on a plane")
    embedding.add_argument("--identities", type=int, default=10, metavar="N", help="how many (default: %(default)s)")
    shows = "losses and scores of several runs in one picture"
    curves = kinds.add_parser(
        "curves",
        help=shows,
        purpose=f"Draw {shows}.",
        shortest="runs/RUN",
        next_step=_NEXT_STEP,
        examples=_EXAMPLES,
    )
    curves.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="run folder, as train/run.py leaves it")
    curves.set_defaults(draw=_draw_curves)
    for kind in kinds.choices.values():
        kind.add_argument("--output", type=Path, metavar="FILE", help=f"the picture: {', '.join(_FORMATS)}")
    return parser


def _add(kinds: Any, kind: str, *, draw: Draw, shows: str) -> ScriptParser:
    """One kind of picture that needs a model and a data set."""
    parser: ScriptParser = kinds.add_parser(
        kind,
        help=shows,
        purpose=f"Draw {shows}. {_PEOPLE}",
        shortest="runs/RUN/model.pth --data DIR",
        next_step=_NEXT_STEP,
        examples=_EXAMPLES,
    )
    opens = "checkpoint (.pth), ONNX file or engine" if kind in _DESCRIBING else "checkpoint (.pth)"
    parser.add_argument("model", type=Path, help=f"{opens}, with its manifest beside it")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of the data set")
    parser.add_argument(
        "--data-set", metavar="NAME", help="name of the data set (default: from the folder's name and layout)"
    )
    parser.add_argument("--seed", type=int, default=0, help="for the random choice of images (default: %(default)s)")
    parser.set_defaults(draw=draw)
    return parser


def command() -> None:
    """The command `reid-visualise`: ends the process with the exit code."""
    sys.exit(run(main))


if __name__ == "__main__":
    command()

"""Measure which layers to quantise: what each group costs in retrieval, and saves in time on this device."""

import argparse
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import numpy as np

from calibration.image_list import read_image_list
from calibration.layer_groups import Group, read_network
from calibration.precision_plan import (
    Backend,
    Choice,
    Method,
    choose_groups,
    default_choice,
    write_choice,
)
from calibration.quantization import batches_of, calibrate, read_float_parent
from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.contract.script import run
from export.acceptance.held_out import held_out_samples
from export.building.layer_costs import Loss, Trial
from export.building.layer_costs_picture import Outcome, draw_choice
from export.building.request import unavailable
from train.datasets.catalog import load_images

LARGEST_LOSS = 0.003
"""Mean 1 - cosine that INT8 may lose in domain."""
_PASSES = 3


def main(argv: list[str] | None = None) -> int:
    """Write the choice and its picture. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    _check(arguments)
    with tempfile.TemporaryDirectory() as folder:
        trial = _open_trial(arguments, Path(folder))
        losses = trial.losses()
        choice = _choose(trial, losses, arguments)
        outcomes = _outcomes(trial, choice, arguments)
    write_choice(choice, arguments.output)
    picture = arguments.output.with_suffix(".png")
    draw_choice(choice, outcomes, picture, title=f"{arguments.model.stem}: {choice.decided_by}")
    _report(choice, outcomes)
    print(f"{arguments.output} and {picture.name}: give the first to calibration/quantize.py --choice")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Before minutes of measuring."""
    reason = unavailable(arguments.backend)
    if reason:
        raise EngineError(reason)
    if arguments.output.suffix != ".json" or not arguments.output.parent.is_dir():
        raise ConfigError(f"expected --output NAME.json in a folder that exists, found {arguments.output}")
    for option in ("rounds", "identities", "batch"):
        if getattr(arguments, option) < 1:
            raise ConfigError(f"--{option} counts from 1, found {getattr(arguments, option)}")
    if not 0 < arguments.largest_loss < 1:
        raise ConfigError(f"--largest-loss is a mean of 1 - cosine, such as 0.003, found {arguments.largest_loss}")


def _open_trial(arguments: argparse.Namespace, folder: Path) -> Trial:
    input_ = read_float_parent(arguments.model).input
    images = read_image_list(arguments.calibration, arguments.data)
    samples = held_out_samples(arguments.data, images, identities=arguments.identities)
    calibrated = calibrate(
        read_network(arguments.model),
        batches_of(images, arguments.data, input_=input_),
        choice=_row(arguments),
    )
    return Trial(
        arguments.model,
        calibrated,
        backend=arguments.backend,
        crops=load_images(samples, height_px=input_.height_px, width_px=input_.width_px, rule=input_.resize),
        identities=np.array([sample.identity for sample in samples], np.int64),
        cameras=np.array([sample.camera_id for sample in samples], np.int64),
        folder=folder,
    )


def _row(arguments: argparse.Namespace) -> Choice:
    row = default_choice(arguments.backend)
    return row if arguments.method is None else row.model_copy(update={"method": arguments.method})


def _choose(trial: Trial, losses: dict[Group, Loss], arguments: argparse.Namespace) -> Choice:
    """Start with everything in INT8; what a group saves is measured beside the choice so far, until that stays."""
    kept: tuple[Group, ...] = ()
    for _ in range(_PASSES):
        costs = trial.costs(kept, losses, batch=arguments.batch, rounds=arguments.rounds)
        before, kept = kept, choose_groups(costs, largest_loss=arguments.largest_loss)
        if kept == before:
            break
    return _row(arguments).model_copy(
        update={
            "kept_in_float": kept,
            "measured": costs,
            "decided_by": f"{trial.backend} on {read_cpu_name()}, one thread, batch {arguments.batch}",
        }
    )


def _outcomes(trial: Trial, choice: Choice, arguments: argparse.Namespace) -> list[Outcome]:
    """The chosen network beside float32, everything in INT8, and the table's row."""
    row = default_choice(arguments.backend)
    kinds: dict[str, Collection[Group]] = {
        "all INT8": (),
        "usual mix": row.kept_in_float,
        "chosen mix": choice.kept_in_float,
    }
    engines = {"float32": trial.float_engine} | {name: trial.engine(kept) for name, kept in kinds.items()}
    times = trial.times(engines, batch=arguments.batch, rounds=arguments.rounds)
    lost = {"float32": Loss(0.0, 1.0, 0.0)} | {name: trial.loss(kept) for name, kept in kinds.items()}
    return [
        Outcome(name, float(np.median(times[name])), loss.mean, loss.mean_ap, loss.least_cosine)
        for name, loss in lost.items()
    ]


def _report(choice: Choice, outcomes: list[Outcome]) -> None:
    """Print both tables of the picture."""
    print(f"{'group':12}{'1 - cosine':>12}{'mAP lost':>10}{'us saved':>10}  chosen")
    for cost in sorted(choice.measured, key=lambda cost: -cost.loss):
        chosen = "float" if cost.group in choice.kept_in_float else "INT8"
        print(f"{cost.group:12}{cost.loss:12.5f}{cost.lost_map:10.2f}{cost.saved_us:10.1f}  {chosen}")
    print(f"{'network':12}{'1 - cosine':>12}{'mAP lost':>10}{'us':>10}  least cosine")
    for outcome in outcomes:
        print(
            f"{outcome.name:12}{outcome.loss:12.5f}{outcome.lost_map:10.2f}{outcome.time_us:10.1f}"
            f"  {outcome.least_cosine:.4f}"
        )
    times = {outcome.name: outcome.time_us for outcome in outcomes}
    if times["chosen mix"] >= times["float32"]:
        print("INT8 does not pay on this backend: the chosen mix is no faster than float32")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python export/sensitivity.py osnet.onnx --calibration calibration.json --data data/market1501 "
        "--backend onnxruntime --output osnet_choice.json",
    )
    parser.add_argument("model", type=Path, help="float32 ONNX file of export/to_onnx.py, its manifest beside it")
    parser.add_argument("--calibration", type=Path, required=True, help="image list of calibration/select_images.py")
    parser.add_argument(
        "--data", type=Path, required=True, help="the folder the list was made from; other people who train judge"
    )
    parser.add_argument("--backend", choices=get_args(Backend), required=True, help="what will run the engine")
    parser.add_argument(
        "--output", type=Path, required=True, help="the choice to write, NAME.json; its picture NAME.png"
    )
    parser.add_argument(
        "--method", choices=get_args(Method), help="how ranges are chosen (default: that of the backend)"
    )
    parser.add_argument("--identities", type=int, default=100, help="people to judge by (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="crops per timed call (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="timed calls of each engine (default: %(default)s)")
    parser.add_argument(
        "--largest-loss",
        type=float,
        default=LARGEST_LOSS,
        help="mean of 1 - cosine that the groups' losses may add up to (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

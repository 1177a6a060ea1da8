"""Measure which layers to quantise: what each group costs in retrieval, and what it saves in time on this device."""

import argparse
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import get_args

import numpy as np

from calibration.image_list import read_image_list
from calibration.layer_groups import LayerGroup
from calibration.precision_plan import (
    Method,
    PrecisionPlan,
    TargetBackend,
    choose_groups,
    default_precision_plan,
    write_precision_plan,
)
from calibration.quantization import calibrate, read_crop_batches, read_deployed, read_float_parent
from edge_runtime.contract.errors import ConfigError, EngineError
from edge_runtime.contract.provenance import read_cpu_name
from edge_runtime.contract.script import ScriptParser, run, shipped_model
from export.acceptance.acceptance_images import crops_of_samples
from export.acceptance.held_out import held_out_samples
from export.building.backends import BACKENDS
from export.building.layer_costs import LayerCosts, LayerLoss
from export.building.layer_costs_picture import Outcome, draw_layer_costs

LARGEST_LOSS = 0.003
"""Mean of 1 - cosine that INT8 may lose on people of the training data set."""
_PASSES = 3
_EXAMPLES = """\
example:
  python export/building/sensitivity.py osnet.onnx --calibration calibration.json --data /data/market1501 \\
    --backend onnxruntime --output precision_plan.json
"""


def main(argv: list[str] | None = None) -> int:
    """Write the precision plan and its picture. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    _check_options(arguments)
    with tempfile.TemporaryDirectory() as folder:
        layers = _open_layer_costs(arguments, Path(folder))
        plan = _choose_plan(layers, arguments)
        outcomes = _measure_outcomes(layers, plan, arguments=arguments)
    write_precision_plan(plan, arguments.output)
    picture = arguments.output.with_suffix(".png")
    draw_layer_costs(plan, outcomes, path=picture, title=f"{arguments.model.stem}: {plan.decided_by}")
    _report(plan, outcomes)
    print(f"{arguments.output} and {picture.name}: give the first to export/build_engine.py --int8 --precision-plan")
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    """Refuse bad options before minutes of measuring.

    Raises:
        EngineError: the backend is not available.
        ConfigError: an option is out of range.
    """
    reason = BACKENDS[arguments.backend].why_unavailable()
    if reason:
        raise EngineError(reason)
    if arguments.output.suffix != ".json" or not arguments.output.parent.is_dir():
        raise ConfigError(f"expected --output NAME.json in a folder that exists, found {arguments.output}")
    for option in ("rounds", "identities", "batch"):
        if getattr(arguments, option) < 1:
            raise ConfigError(f"--{option} counts from 1, found {getattr(arguments, option)}")
    if not 0 < arguments.largest_loss < 1:
        raise ConfigError(f"--largest-loss is a mean of 1 - cosine, such as 0.003, found {arguments.largest_loss}")


def _open_layer_costs(arguments: argparse.Namespace, folder: Path) -> LayerCosts:
    parent = read_float_parent(arguments.model)
    input_ = parent.input
    images = read_image_list(arguments.calibration, arguments.data)
    samples = held_out_samples(arguments.data, images, identities=arguments.identities)
    calibrated = calibrate(
        read_deployed(arguments.model, parent),
        read_crop_batches(images, arguments.data, input_=input_),
        plan=_default_plan(arguments),
    )
    crops = crops_of_samples(samples, input_)
    return LayerCosts(arguments.model, calibrated, backend=arguments.backend, crops=crops, folder=folder)


def _default_plan(arguments: argparse.Namespace) -> PrecisionPlan:
    plan = default_precision_plan(arguments.backend)
    return plan if arguments.method is None else plan.model_copy(update={"method": arguments.method})


def _choose_plan(layers: LayerCosts, arguments: argparse.Namespace) -> PrecisionPlan:
    """Start with all groups in INT8, and measure and choose again with the groups chosen, until they do not change."""
    losses = layers.losses()
    kept: tuple[LayerGroup, ...] = ()
    for _ in range(_PASSES):
        costs = layers.costs(kept, losses, batch=arguments.batch, rounds=arguments.rounds)
        before, kept = kept, choose_groups(costs, largest_loss=arguments.largest_loss)
        if kept == before:
            break
    return _default_plan(arguments).model_copy(
        update={
            "kept_in_float": kept,
            "measured": costs,
            "decided_by": f"{layers.runs_on} on {read_cpu_name()}, one thread, batch {arguments.batch}",
        }
    )


def _measure_outcomes(layers: LayerCosts, plan: PrecisionPlan, *, arguments: argparse.Namespace) -> list[Outcome]:
    """Time and loss of whole networks: float32, everything in INT8, the default plan, the plan that was chosen."""
    kinds: dict[str, Collection[LayerGroup]] = {
        "all INT8": (),
        "default plan": default_precision_plan(arguments.backend).kept_in_float,
        "chosen plan": plan.kept_in_float,
    }
    engines = {"float32": layers.float_engine} | {name: layers.engine(kept) for name, kept in kinds.items()}
    times = layers.times(engines, batch=arguments.batch, rounds=arguments.rounds)
    lost = {"float32": LayerLoss(0.0, 1.0, 0.0)} | {name: layers.loss(kept) for name, kept in kinds.items()}
    return [
        Outcome(name, float(np.median(times[name])), loss.mean, loss.mean_ap, loss.least_cosine)
        for name, loss in lost.items()
    ]


def _report(plan: PrecisionPlan, outcomes: list[Outcome]) -> None:
    """Print the two tables that the picture shows."""
    print(f"{'group':12}{'1 - cosine':>12}{'mAP lost':>10}{'us saved':>10}  chosen")
    for cost in sorted(plan.measured, key=lambda cost: -cost.loss):
        chosen = "float" if cost.group in plan.kept_in_float else "INT8"
        print(f"{cost.group:12}{cost.loss:12.5f}{cost.lost_map:10.2f}{cost.saved_us:10.1f}  {chosen}")
    print(f"{'network':12}{'1 - cosine':>12}{'mAP lost':>10}{'us':>10}  least cosine")
    for outcome in outcomes:
        print(
            f"{outcome.name:12}{outcome.loss:12.5f}{outcome.lost_map:10.2f}{outcome.time_us:10.1f}"
            f"  {outcome.least_cosine:.4f}"
        )
    times = {outcome.name: outcome.time_us for outcome in outcomes}
    if times["chosen plan"] >= times["float32"]:
        print("INT8 brings nothing on this backend: the chosen plan is no faster than float32")


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest=f"{shipped_model()} --calibration calibration.json --data DATA --backend onnxruntime "
        "--output precision_plan.json",
        next_step="python export/build_engine.py MODEL --int8 --precision-plan precision_plan.json ...",
        examples=_EXAMPLES,
    )
    parser.add_argument("model", type=Path, help="float32 ONNX file of export/to_onnx.py, its manifest beside it")
    parser.add_argument("--calibration", type=Path, required=True, help="image list of calibration/select_images.py")
    parser.add_argument(
        "--data",
        type=Path,
        required=True,
        help="the folder that the list was made from; training people whom the list leaves out are used to measure",
    )
    parser.add_argument("--backend", choices=get_args(TargetBackend), required=True, help="what will run the engine")
    parser.add_argument(
        "--output", type=Path, required=True, help="the precision plan to write, NAME.json; its picture is NAME.png"
    )
    parser.add_argument(
        "--method", choices=get_args(Method), help="how ranges are chosen (default: that of the backend)"
    )
    parser.add_argument("--identities", type=int, default=100, help="people to measure with (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="crops per timed call (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=40, help="timed calls of each engine (default: %(default)s)")
    parser.add_argument(
        "--largest-loss",
        type=float,
        default=LARGEST_LOSS,
        help="what the groups in INT8 may lose together, as mean of 1 - cosine (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(run(main))

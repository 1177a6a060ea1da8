"""Build an engine from an ONNX file and accept it only if it still finds the right people, and sooner."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from calibration.image_list import MARKET_SPLIT, read_image_list
from calibration.precision_plan import read_choice
from edge_runtime.contract.errors import EngineError, ExportError
from edge_runtime.contract.manifest import Manifest, Precision, hash_file, read_manifest, write_manifest
from edge_runtime.contract.script import run
from export.acceptance.comparison import Comparison, as_table
from export.acceptance.options import Gate, add_gate_options, open_gate
from export.acceptance.tolerance import Tolerance, add_tolerance_options, tolerance_of
from export.building.build import Plan, make_engine, make_plan, refuse_stale
from export.building.candidate import Trial, time_engines, trials_as_table
from export.building.request import PRECISIONS, Request, Source, all_requests, choose_backend, find_sibling
from export.building.tensorrt_builder import Batch
from train.datasets.catalog import open_folder

_EXAMPLES = """\
examples, with the file that export/to_onnx.py made of runs/RECIPE-seed0/model.pth:
  python export/build_engine.py models/model.onnx --int8 --calibration calibration.json --data /data/market1501
  whatever is fastest here:
  python export/build_engine.py models/model.onnx --best --calibration calibration.json --data /data/market1501
"""


def main(argv: list[str] | None = None) -> int:
    """Build, judge, and keep the engine if it is good enough. Returns the exit code."""
    arguments = _parser().parse_args(argv)
    source = _source(arguments)
    gate = open_gate(arguments, read_manifest(source.parent).input)
    _check_calibration(source, gate, precision=arguments.precision)
    _check_output(arguments.output, source)
    requests = _requests(source, arguments)
    try:
        _build(requests, arguments, gate)
    except (EngineError, ExportError) as error:
        if arguments.fallback is None:
            raise
        print(f"{error}\nfalling back to {arguments.fallback}, as asked with --fallback")
        _build([_request(source, arguments.fallback, arguments)], arguments, gate)
    return 0


def _requests(source: Source, arguments: argparse.Namespace) -> list[Request]:
    if arguments.precision == "best":
        return all_requests(source, arguments.backend)
    request = _request(source, arguments.precision, arguments)
    choice = source.choice
    if choice is None:
        return [request]
    if request.precision != "int8" or read_manifest(source.model).build.precision == "int8":
        raise ExportError(f"--choice says how to quantise {source.model}, which is not done here; leave it out")
    if choice.backend != request.backend:
        raise ExportError(
            f"{arguments.choice} was measured for {choice.backend}, but {request.backend} is built for; "
            f"add --backend {choice.backend}, or leave --choice out"
        )
    return [request]


def _request(source: Source, precision: Precision, arguments: argparse.Namespace) -> Request:
    return Request(source, precision, choose_backend(arguments.backend, precision))


def _source(arguments: argparse.Namespace) -> Source:
    parent = find_sibling(arguments.model, "fp32")
    usual = read_manifest(parent).artefact
    sizes = arguments.batch or (usual.batch_min, usual.batch_opt, usual.batch_max)
    choice = read_choice(arguments.choice) if arguments.choice else None
    return Source(arguments.model, parent, arguments.calibration, arguments.data, Batch(*sizes), choice)


def _check_calibration(source: Source, gate: Gate, *, precision: Precision | Literal["best"]) -> None:
    """Refuse an image list that nothing would be calibrated with, or that holds people of the test.

    Raises:
        DataError: the list or its images cannot be used.
        ExportError: see above.
    """
    if source.calibration is None:
        return
    if precision not in ("int8", "best"):
        raise ExportError(f"--calibration is for --int8 only: {precision} needs no image list; leave it out")
    used = read_manifest(source.model).calibration
    if used is not None and used.image_list_sha256 != hash_file(source.calibration):
        raise ExportError(
            f"{source.model} is quantised already, with another image list than {source.calibration}; leave "
            "--calibration out, or give the float32 file"
        )
    if source.data is None:
        raise ExportError("--calibration names training images: add --data with the folder the list was made from")
    images = read_image_list(source.calibration, source.data)
    if images.split != MARKET_SPLIT or open_folder(source.data).name != gate.images.name:
        return  # other people, or names instead of numbers, by which the list was checked already
    shared = {int(identity) for identity in images.identities} & set(gate.images.query.identities.tolist())
    if shared:
        raise ExportError(
            f"{source.calibration} holds {len(shared)} people of the test, identity {min(shared)} for one: an engine "
            "calibrated on them would look better than it is; make the list with calibration/select_images.py"
        )


def _check_output(output: Path | None, source: Source) -> None:
    if output is None:
        return
    if output.is_dir():
        raise ExportError(f"expected the name of a file to write, found the folder {output}; give another --output")
    if output.exists() and any(output.samefile(path) for path in (source.model, source.parent)):
        raise ExportError(f"the engine would replace the model it is built from, {output}; give another --output")


def _build(requests: Sequence[Request], arguments: argparse.Namespace, gate: Gate) -> None:
    """Build and try every request, and put the fastest engine that is accepted in its place.

    Raises:
        ExportError: none is, or none can be built.
    """
    beside = arguments.output or requests[0].source.parent
    with _folder_beside(beside) as folder:
        plans = [make_plan(request, Path(folder), output=arguments.output) for request in requests]
        if not arguments.force:
            refuse_stale(plans)
        trials = _try(plans, Path(folder), arguments, gate=gate)
        best = _fastest(trials, arguments)
        os.replace(best.candidate, best.plan.output)
        write_manifest(best.manifest.model_copy(update={"evidence": best.comparison.child}), best.plan.output)
    size = best.plan.output.stat().st_size / 1e6
    print(f"{best.plan.output}: {best.plan.build.precision}, backend {best.plan.build.backend}, {size:.2f} MB")


def _try(plans: Sequence[Plan], folder: Path, arguments: argparse.Namespace, *, gate: Gate) -> list[Trial]:
    """Build, judge and time every plan, and print what came out; one of several that cannot be built is left out.

    Raises:
        ExportError, EngineError: none can be built and run.
    """
    queries = len(gate.images.query)
    tolerances = [tolerance_of(arguments, plan.build.precision, queries=queries) for plan in plans]
    built: list[tuple[Plan, Path, Manifest, Comparison, Tolerance]] = []
    for number, (plan, tolerance) in enumerate(zip(plans, tolerances, strict=True)):
        candidate = folder / str(number) / plan.output.name
        candidate.parent.mkdir()
        try:
            manifest = make_engine(plan, candidate, reuse=not arguments.force)
            comparison = gate.judge(plan.request.source.parent, candidate)
        except (EngineError, ExportError) as error:
            if number == len(plans) - 1 and not built:
                raise
            print(f"{plan.title}: left out: {error}")
        else:
            print(f"{plan.title}:\n{as_table(comparison)}")
            built.append((plan, candidate, manifest, comparison, tolerance))
    (parent_ms, *medians), measured = time_engines(
        _timed_parent(plans, folder), [entry[1] for entry in built], batch=plans[0].request.source.batch.best
    )
    trials = [
        Trial(plan, candidate, manifest, comparison, comparison.excess(tolerance), median, parent_ms)
        for (plan, candidate, manifest, comparison, tolerance), median in zip(built, medians, strict=True)
    ]
    print(trials_as_table(trials, measured=measured))
    return trials


def _timed_parent(plans: Sequence[Plan], folder: Path) -> Path:
    """What engines must be faster than: the float32 file, as a TensorRT engine where that is what is built."""
    source = plans[0].request.source
    if all(plan.request.backend != "tensorrt" for plan in plans):
        return source.parent
    engine = folder / "parent" / "float32.engine"
    engine.parent.mkdir()
    make_engine(make_plan(Request(source, "fp32", "tensorrt"), folder, output=engine), engine, reuse=False)
    return engine


def _fastest(trials: Sequence[Trial], arguments: argparse.Namespace) -> Trial:
    faults = [trial.fault(allow_slower=arguments.allow_slower) for trial in trials]
    accepted = [trial for trial, fault in zip(trials, faults, strict=True) if not fault]
    if accepted:
        return min(accepted, key=lambda trial: trial.median_ms)
    sentences = [f"the {trial.plan.title} engine {fault}" for trial, fault in zip(trials, faults, strict=True)]
    raise ExportError(f"{'; '.join(sentences)}; no engine was written")


def _folder_beside(output: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder on the same disk as `output`, so that the engine can be moved there in one step."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-")
    except OSError as error:
        raise ExportError(f"cannot write in {output.parent}: {error.strerror}; give another --output") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="ONNX file of export/to_onnx.py, its manifest beside it")
    _add_precisions(parser)
    parser.add_argument("--calibration", type=Path, help="image list of calibration/select_images.py, for INT8")
    parser.add_argument("--choice", type=Path, help="what to leave in float, as export/sensitivity.py measured it")
    add_gate_options(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="auto (default) takes TensorRT where it is available, else ONNX Runtime (OpenVINO for --bf16), and says "
        "which one it took; with --best it tries all there are",
    )
    parser.add_argument(
        "--batch",
        nargs=3,
        type=int,
        metavar=("MIN", "OPT", "MAX"),
        help="batch sizes the engine accepts, and the one it is tuned for and timed at (default: those of the model)",
    )
    parser.add_argument("--output", type=Path, help="default: NAME_PRECISION_BACKEND beside the model")
    parser.add_argument("--force", action="store_true", help="build again, and replace an engine that is there already")
    parser.add_argument("--fallback", choices=("fp16", "bf16"), help="build this precision if the other is refused")
    parser.add_argument("--allow-slower", action="store_true", help="accept an engine slower than its float32 parent")
    add_tolerance_options(parser)
    return parser


def _add_precisions(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    for name, meaning in (
        ("fp16", "half precision; needs to_onnx.py --half"),
        ("int8", "INT8; quantises the model if that was not done yet"),
        ("bf16", "bfloat16, by OpenVINO on a CPU that has it"),
        ("best", "all that this device offers (INT8 with --calibration); keeps the fastest that is good enough"),
    ):
        group.add_argument(f"--{name}", dest="precision", action="store_const", const=name, help=meaning)


if __name__ == "__main__":
    sys.exit(run(main))

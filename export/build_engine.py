"""Build an engine from an ONNX file, and keep it only if it finds the people that float32 finds, and faster."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibration.image_list import MARKET_SPLIT, read_image_list
from calibration.precision_plan import read_precision_plan
from edge_runtime.contract.errors import EngineError, ExportError
from edge_runtime.contract.manifest import Manifest, Precision, hash_file, read_manifest, write_manifest
from edge_runtime.contract.script import ScriptParser, run
from export.acceptance.acceptance_options import Acceptance, add_acceptance_options, open_acceptance
from export.acceptance.comparison import format_comparison
from export.acceptance.tolerance import add_tolerance_options, tolerance_of
from export.building import fit_detector
from export.building.backends import BACKENDS, EngineKind, choose_backend
from export.building.engine_build import (
    TIMING_CACHE,
    EngineBuild,
    copy_engine,
    decide_build,
    is_built,
    make_engine,
    refuse_stale,
)
from export.building.engine_candidate import (
    ComparedEngine,
    EngineCandidate,
    choose_fastest,
    format_candidates,
    time_engines,
)
from export.building.engine_source import EngineSource, find_sibling, get_network, list_kinds
from export.building.tensorrt_builder import BatchSizes
from export.building.tensorrt_versions import OPTIMISATION_LEVEL
from export.building.usual_inputs import complete_inputs
from train.datasets.catalog import open_folder

_EXAMPLES = """\
examples, with the file that export/to_onnx.py made of runs/RECIPE-seed0/model.pth:
  python export/build_engine.py models/model.onnx --int8 --calibration calibration.json --data /data/market1501
  calibrated and judged on unlabelled people of your own place, collected by calibration/collect_site.py:
  python export/build_engine.py models/model.onnx --int8 --data site
  whatever is fastest here:
  python export/build_engine.py models/model.onnx --best --calibration calibration.json --data /data/market1501
  a person detector, for the camera that a clip is of (more with --detector --help):
  python export/build_engine.py yolox_nano.onnx --detector --video clip.mp4
"""


@dataclass(frozen=True)
class _Job:
    """What was asked for: the options, and what they name."""

    arguments: argparse.Namespace
    source: EngineSource
    batch: BatchSizes
    acceptance: Acceptance

    @property
    def timing_cache(self) -> Path:
        """Beside the model, so that all its engines share it."""
        return self.source.model.with_name(TIMING_CACHE)


def command() -> int:
    """The installed command `reid-build`; see `main`."""
    return run(main)


def main(argv: list[str] | None = None) -> int:
    """Build, compare, and keep the engine if it is good enough. Returns the exit code."""
    given = sys.argv[1:] if argv is None else argv
    if "--detector" in given:
        return fit_detector.main([option for option in given if option != "--detector"])
    with complete_inputs(_parser().parse_args(argv)) as arguments:
        return _build_job(_open_job(arguments))


def _build_job(job: _Job) -> int:
    _check_calibration(job)
    _check_output(job.arguments.output, job.source)
    kinds = _choose_kinds(job)
    try:
        _build(kinds, job)
    except (EngineError, ExportError) as error:
        fallback = job.arguments.fallback
        if fallback is None:
            raise
        print(f"{error}\nfalling back to {fallback}, as asked with --fallback")
        _build([_choose_kind(fallback, job)], job)
    return 0


def _open_job(arguments: argparse.Namespace) -> _Job:
    parent = find_sibling(arguments.model, "fp32")
    manifest = read_manifest(parent)
    usual = manifest.artefact
    sizes = arguments.batch or (usual.batch_min, usual.batch_opt, usual.batch_max)
    plan = read_precision_plan(arguments.precision_plan) if arguments.precision_plan else None
    source = EngineSource(arguments.model, parent, arguments.calibration, arguments.calibration_data, plan)
    return _Job(arguments, source, BatchSizes(*sizes), open_acceptance(arguments, manifest.input))


def _check_calibration(job: _Job) -> None:
    """Refuse an image list that would not be used, or that holds people of the acceptance images.

    Raises:
        DataError: the list or its images cannot be used.
        ExportError: see above.
    """
    source, precision = job.source, job.arguments.precision
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
    if images.split != MARKET_SPLIT or open_folder(source.data).name != job.acceptance.images.name:
        return  # other people, or people with names instead of numbers; those were checked when the list was read
    shared = {int(identity) for identity in images.identities} & set(job.acceptance.images.query.identities.tolist())
    if shared:
        raise ExportError(
            f"{source.calibration} holds {len(shared)} people of the test, identity {min(shared)} for one: an engine "
            "calibrated on them would look better than it is; make the list with calibration/select_images.py"
        )


def _check_output(output: Path | None, source: EngineSource) -> None:
    if output is None:
        return
    if output.is_dir():
        raise ExportError(f"expected the name of a file to write, found the folder {output}; give another --output")
    if output.exists() and any(output.samefile(path) for path in (source.model, source.parent)):
        raise ExportError(f"the engine would replace the model it is built from, {output}; give another --output")


def _choose_kinds(job: _Job) -> list[EngineKind]:
    """The engines to build: one precision, or with `--best` all that can be built here."""
    arguments, source = job.arguments, job.source
    if arguments.precision == "best":
        return list_kinds(source, arguments.backend)
    kind = _choose_kind(arguments.precision, job)
    plan = source.precision_plan
    if plan is None:
        return [kind]
    if kind.precision != "int8" or source.is_quantized:
        raise ExportError(f"--precision-plan says how to quantise {source.model}, which is not done here; leave it out")
    if plan.backend != kind.backend:
        raise ExportError(
            f"{arguments.precision_plan} was measured for {plan.backend}, but {kind.backend} is built for; "
            f"add --backend {plan.backend}, or leave --precision-plan out"
        )
    return [kind]


def _choose_kind(precision: Precision, job: _Job) -> EngineKind:
    return EngineKind(precision, choose_backend(job.arguments.backend, precision))


def _build(kinds: Sequence[EngineKind], job: _Job) -> None:
    """Build and compare every kind of engine, and move the fastest one that is accepted to its place.

    Raises:
        ExportError: none is accepted, or none can be built.
    """
    parent, output = job.source.parent, job.arguments.output
    with _folder_near(output or parent) as name:
        folder = Path(name)
        networks = [get_network(job.source, kind, folder=folder) for kind in kinds]
        builds = [_decide(network, kind, job=job, output=output) for network, kind in zip(networks, kinds, strict=True)]
        if not job.arguments.force:
            refuse_stale(builds)
        candidates = _time(_make_and_compare(builds, job, folder=folder), builds, job=job, folder=folder)
        best = choose_fastest(candidates, allow_slower=job.arguments.allow_slower)
        output, entry = best.build.output, best.build.entry
        os.replace(best.path, output)
        write_manifest(best.manifest.model_copy(update={"evidence": best.comparison.child}), output)
    print(f"{output}: {entry.precision}, backend {entry.backend}, {output.stat().st_size / 1e6:.2f} MB")


def _decide(network: Path, kind: EngineKind, *, job: _Job, output: Path | None) -> EngineBuild:
    level = job.arguments.optimisation_level
    return decide_build(
        network, kind, parent=job.source.parent, batch=job.batch, output=output, optimisation_level=level
    )


def _make_and_compare(builds: Sequence[EngineBuild], job: _Job, *, folder: Path) -> list[ComparedEngine]:
    """Build every engine and compare it with its parent. One of several that cannot be built is left out.

    Raises:
        ExportError, EngineError: none can be built and run.
    """
    queries = len(job.acceptance.images.query)
    tolerances = [tolerance_of(job.arguments, build.entry.precision, queries=queries) for build in builds]
    compared: list[ComparedEngine] = []
    for number, (build, tolerance) in enumerate(zip(builds, tolerances, strict=True)):
        path = folder / str(number) / build.output.name
        path.parent.mkdir()
        try:
            manifest = _make(build, path, job=job)
            comparison = job.acceptance.compare(build.parent, path)
        except (EngineError, ExportError) as error:
            if number == len(builds) - 1 and not compared:
                raise
            print(f"{build.title}: left out: {error}")
        else:
            print(f"{build.title}:\n{format_comparison(comparison)}")
            compared.append(ComparedEngine(build, path, manifest, comparison, comparison.excess(tolerance)))
    return compared


def _make(build: EngineBuild, path: Path, *, job: _Job) -> Manifest:
    """Build an engine into `path`, or copy it from its place if it is there already. Returns its manifest."""
    if is_built(build) and not job.arguments.force:
        print(f"{build.output} is there already, built from the same files: it is compared again, not built")
        return copy_engine(build, path)
    return make_engine(build, path, timing_cache=job.timing_cache)


def _time(
    compared: Sequence[ComparedEngine], builds: Sequence[EngineBuild], *, job: _Job, folder: Path
) -> list[EngineCandidate]:
    """Time the engines beside their parent, and print the table of all of them."""
    parent = _timed_parent(builds, job, folder=folder)
    (parent_ms, *medians), measured = time_engines(parent, [one.path for one in compared], batch=job.batch.best)
    candidates = [
        EngineCandidate(**vars(one), median_ms=median, parent_median_ms=parent_ms)
        for one, median in zip(compared, medians, strict=True)
    ]
    print(format_candidates(candidates, measured=measured))
    return candidates


def _timed_parent(builds: Sequence[EngineBuild], job: _Job, *, folder: Path) -> Path:
    """What engines must be faster than: the float32 file, as a TensorRT engine if TensorRT engines are built."""
    parent = job.source.parent
    if all(build.entry.backend != "tensorrt" for build in builds):
        return parent
    engine = folder / "parent" / "float32.engine"
    engine.parent.mkdir()
    build = _decide(parent, EngineKind("fp32", "tensorrt"), job=job, output=engine)
    make_engine(build, engine, timing_cache=job.timing_cache)
    return engine


def _folder_near(output: Path) -> "tempfile.TemporaryDirectory[str]":
    """A folder on the same disk as `output`, so that the engine can be moved there in one step."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryDirectory(dir=output.parent, prefix=".build-")
    except OSError as error:
        raise ExportError(f"cannot write in {output.parent}: {error.strerror}; give another --output") from error


def _parser() -> argparse.ArgumentParser:
    parser = ScriptParser(
        purpose=__doc__,
        shortest="--int8",
        next_step="name it in the daemon's configuration, see edge_runtime/README.md",
        examples=_EXAMPLES,
    )
    parser.add_argument(
        "model", type=Path, nargs="?", help="ONNX file of export/to_onnx.py (default: the network that comes with it)"
    )
    _add_precisions(parser)
    parser.add_argument(
        "--calibration",
        type=Path,
        help="for INT8: an image list of calibration/select_images.py, or a folder, such as a site set",
    )
    parser.add_argument(
        "--precision-plan",
        metavar="FILE",
        type=Path,
        help="what stays in float, as export/building/sensitivity.py measured it",
    )
    add_acceptance_options(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKENDS),
        default="auto",
        help="auto (default) takes TensorRT where it is available, else ONNX Runtime (OpenVINO for --bf16), and says "
        "which one it took; with --best it tries all there are",
    )
    _add_tuning(parser)
    parser.add_argument("--output", type=Path, help="default: NAME_PRECISION_BACKEND beside the model")
    parser.add_argument("--force", action="store_true", help="build again, and replace an engine that is there already")
    parser.add_argument("--fallback", choices=("fp16", "bf16"), help="build this precision if the other is refused")
    parser.add_argument("--allow-slower", action="store_true", help="accept an engine slower than its float32 parent")
    add_tolerance_options(parser)
    return parser


def _add_tuning(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch",
        nargs=3,
        type=int,
        metavar=("MIN", "OPT", "MAX"),
        help="batch sizes the engine accepts, and the one it is tuned for and timed at (default: those of the model)",
    )
    parser.add_argument(
        "--optimisation-level",
        type=int,
        choices=range(6),
        default=OPTIMISATION_LEVEL,
        help="how long TensorRT searches (default: %(default)s); 5 finds the fastest engine, in several times the time",
    )


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
    sys.exit(command())

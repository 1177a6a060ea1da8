"""What is measured whenever a GPU is there, as commands of the project's own scripts, most important first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring.records import RECORDS
from benchmarks.measuring.timed_steps import LIMIT_S, Command, Step
from edge_runtime.contract.manifest import manifest_path

ROOT = Path(__file__).resolve().parent.parent.parent
_CALIBRATION = RECORDS / "cpu-epyc" / "calibration_cuhk03.json"
_OSNETS = ("osnet_x1_0", "osnet_x0_25")
_WIDTHS = ("osnet_x1_0", "osnet_x0_75", "osnet_x0_5", "osnet_x0_25")
_PRECISIONS = ("fp16", "int8", "fp32")
_PACKED_PEOPLE = 30


@dataclass(frozen=True)
class Site:
    """The machine. no_device, no_tensorrt: why something cannot be done here, None where it can.

    python has torch, tensorrt_python has TensorRT; they may be one. model: the float32 ONNX file in a
    folder of its own, exported there from the checkpoint if there is one.
    """

    python: str
    tensorrt_python: str
    work: Path
    records: Path
    data: Path
    model: Path
    checkpoint: Path | None
    recipes: tuple[str, ...]
    no_device: str | None
    no_tensorrt: str | None

    @property
    def no_engines(self) -> str | None:
        """Why no engine can be built and run."""
        return self.no_device or self.no_tensorrt

    @property
    def timing_cache(self) -> Path:
        """Where export/build_engine.py has it for engines of the model; all others share it."""
        return self.model.with_name("tensorrt_timing.cache")


@dataclass(frozen=True)
class _Group:
    """Engines with random weights that are written, built and timed together."""

    name: str
    architectures: Sequence[str]
    sizes: Sequence[str]
    graphs: Sequence[str]
    precisions: Sequence[str]

    def files(self, site: Site) -> tuple[Path, ...]:
        """The ONNX files, most important first."""
        return tuple(
            site.work / "networks" / f"{architecture}_{size}" / f"{graph}_{precision}.onnx"
            for precision in self.precisions
            for architecture in self.architectures
            for size in self.sizes
            for graph in self.graphs
        )


def list_steps(site: Site) -> tuple[Step, ...]:
    """All of them, in order; weights are minutes of 25."""
    return (
        Step("tensorrt", "TensorRT builds and runs engines that agree with ONNX Runtime", 3, _tensorrt(site)),
        Step("latency", "engines, with CUDA graphs and without, and PyTorch's ways", 9.5, _latency(site)),
        Step("accuracy", "retrieval of checkpoint, ONNX file and engines, and across precisions", 3, _accuracy(site)),
        Step("training", "training speed beside Torchreid's loop, and whole runs", 8.5, _training(site)),
        Step("crop_kernel", "cropping on the GPU beside the host path", 1, _crop_kernel(site)),
    )


def _tensorrt(site: Site) -> tuple[Command, ...]:
    """The model as float32, half precision and INT8: written, built, and compared. The engines are kept."""
    files = _files(site)
    calibration = ("--calibration", str(_CALIBRATION), "--data", str(site.data))
    int8 = files[-1]
    quantized = (
        "calibration/quantize.py",
        str(site.model),
        *calibration,
        "--backend",
        "tensorrt",
        "--output",
        str(int8),
    )
    built = ("benchmarks/tensorrt_smoke.py", "--keep", "--timing-cache", str(site.timing_cache))
    record = site.work / "tensorrt_smoke.json"
    return (
        _exported(site),
        Command(_script(site.tensorrt_python, *quantized), makes=_whole((int8,)), unavailable=site.no_engines),
        Command(
            _script(site.tensorrt_python, *built, "--data", str(site.data), "--output", str(record)),
            weight=3,
            output=record,
            inputs=files,
            makes=_whole(_engines(files, best=8)),
            unavailable=site.no_engines,
        ),
    )


def _files(site: Site) -> tuple[Path, Path, Path]:
    """The model as float32, half precision and INT8."""
    return site.model, _half(site), site.model.with_name(f"{site.model.stem}_int8.onnx")


def _half(site: Site) -> Path:
    """The half-precision file; without a checkpoint one with random weights."""
    if site.checkpoint:
        return site.model.with_name(f"{site.model.stem}_fp16.onnx")
    return site.work / "networks" / "osnet_x0_25_256x128" / "plain_fp16.onnx"


def _exported(site: Site) -> Command:
    if site.checkpoint is None:
        options = ("osnet_x0_25", "--precisions", "fp16", "--output", str(site.work / "networks"))
        written = _script(site.python, "benchmarks/random_networks.py", *options)
        return Command(written, makes=_whole((_half(site),)), unavailable=site.no_device)
    options = ("--output", str(site.model.parent), "--half", "--backend", "tensorrt")
    exported = _script(site.python, "export/to_onnx.py", str(site.checkpoint), *options)
    return Command(exported, makes=_whole((site.model, _half(site))), unavailable=site.no_device)


def _whole(files: Sequence[Path]) -> tuple[Path, ...]:
    """The files' manifests, which are written last: without one a file may be half written."""
    return tuple(manifest_path(path) for path in files)


def _engines(files: Sequence[Path], *, best: int) -> tuple[Path, ...]:
    """As tensorrt_smoke.py calls them."""
    return tuple(path.with_name(f"{path.stem}_b{best}.engine") for path in files)


def _latency(site: Site) -> tuple[Command, ...]:
    """Networks and graphs that matter first, tuned for one image and for 32; then the others, and the whole grid."""
    first = _Group("first", _OSNETS, ("256x128",), ("plain", "end_dense"), _PRECISIONS)
    graphs = _Group("graphs", _OSNETS, ("256x128",), ("stack", "end", "dense"), ("fp16",))
    plr_osnet = _Group("plr_osnet", ("plr_osnet",), ("256x128",), ("plain", "end_dense"), ("fp16", "int8"))
    striped = _Group("striped", ("mgn", "pyramid"), ("384x128",), ("stack",), ("fp16", "int8"))
    grid = _Group("grid", _WIDTHS, ("192x96", "128x64", "64x32", "256x128"), ("end_dense",), ("fp16", "int8"))
    few, many = ("1", "8", "32"), ("8", "32", "128")
    return (
        _written(site, first, weight=2),
        *_timed(site, first, best=1, largest=1, batches=("1",), weight=4),
        _timed_pytorch(site, "pytorch", batches=("1", *many), options=_OSNETS),
        *_timed(site, first, best=32, largest=128, batches=many, weight=4),
        _timed_pytorch(
            site, "compiled", batches=("1", "32"), options=("osnet_x1_0", "--compile")
        ),  # each batch is compiled anew
        _written(site, graphs, weight=1),
        *_timed(site, graphs, best=1, largest=1, batches=("1",), weight=2),
        _written(site, plr_osnet, weight=1),
        *_timed(site, plr_osnet, best=8, largest=32, batches=few, weight=2),
        _written(site, striped, weight=1),
        *_timed(site, striped, best=8, largest=32, batches=few, weight=2),
        _written(site, grid, weight=1),
        *_timed(site, grid, best=8, largest=32, batches=few, weight=3),
    )


def _written(site: Site, group: _Group, *, weight: float) -> Command:
    options = ("--sizes", *group.sizes, "--graphs", *group.graphs, "--precisions", *group.precisions)
    folder = ("--output", str(site.work / "networks"))
    return Command(
        _script(site.python, "benchmarks/random_networks.py", *group.architectures, *options, *folder),
        weight=weight,
        makes=_whole(group.files(site)),
        unavailable=site.no_engines,
    )


def _timed(
    site: Site, group: _Group, *, best: int, largest: int, batches: Sequence[str], weight: float
) -> tuple[Command, Command]:
    """Build a group's engines, and time those that could be built. weight: of both, most of it for the building."""
    files, name = group.files(site), f"{group.name}_b{best}"
    built, timed = site.work / f"built_{name}.json", site.work / f"latency_{name}.json"
    sizes = ("--keep", "--timing-cache", str(site.timing_cache), "--batch", str(best), str(largest))
    return (
        Command(
            _script(site.tensorrt_python, "benchmarks/tensorrt_smoke.py", *sizes, "--output", str(built)),
            weight=0.75 * weight,
            output=built,
            inputs=files,
            makes=_whole(_engines(files, best=best)),
            unavailable=site.no_engines,
        ),
        Command(
            _script(site.tensorrt_python, "benchmarks/latency.py", *_calls(timed, batches)),
            weight=0.25 * weight,
            output=timed,
            inputs=_engines(files, best=best),
            unavailable=site.no_engines,
        ),
    )


def _timed_pytorch(site: Site, name: str, *, batches: Sequence[str], options: Sequence[str]) -> Command:
    output = site.work / f"latency_{name}.json"
    grid = ("--grid", "--backends", "--sizes", "256x128", "--architectures", *options)
    return Command(
        _script(site.python, "benchmarks/latency.py", *grid, *_calls(output, batches)),
        output=output,
        unavailable=site.no_device,
    )


def _calls(output: Path, batches: Sequence[str]) -> tuple[str, ...]:
    """--output last: engines follow it."""
    return ("--batches", *batches, "--rounds", "50", "--alone-s", "0", "--output", str(output))


def _accuracy(site: Site) -> tuple[Command, ...]:
    """Engines first, which take seconds, then all of them beside the ONNX file, which runs on the CPU.

    They are scored whether build_engine accepts them or not; whether it does is asked at the end.
    """
    engines = _engines([path for path in _files(site) if path.parent == site.model.parent], best=8)
    packed = site.work / "acceptance.npz"
    packing = ("export/acceptance/pack_images.py", str(site.data), "--model", str(site.model), "--output", str(packed))
    return (
        *([_scored(site, "checkpoint", python=site.python, files=(site.checkpoint,))] if site.checkpoint else []),
        *_tensorrt(site),
        _scored(site, "engines", python=site.tensorrt_python, files=engines, unavailable=site.no_engines),
        _scored(
            site,
            "onnx",
            python=site.tensorrt_python,
            files=(site.model, *engines),
            weight=4,
            unavailable=site.no_engines,
        ),
        Command(
            _script(site.python, *packing, "--identities", str(_PACKED_PEOPLE)),
            makes=(packed,),
            unavailable=site.no_engines,
        ),
        *([_accepted(site, "fp16", network=site.model, packed=packed)] if site.checkpoint else []),
        _accepted(site, "int8", network=_files(site)[-1], packed=packed),
    )


def _scored(
    site: Site, name: str, *, python: str, files: tuple[Path, ...], weight: float = 1, unavailable: str | None = None
) -> Command:
    output = site.work / f"accuracy_{name}.json"
    return Command(
        _script(python, "benchmarks/accuracy.py", "--data", str(site.data), "--output", str(output)),
        weight=weight,
        output=output,
        inputs=files,
        unavailable=unavailable or site.no_device,
    )


def _accepted(site: Site, precision: str, *, network: Path, packed: Path) -> Command:
    """The way a user builds an engine; the record is its manifest."""
    engine = site.work / f"{precision}.engine"
    options = (f"--{precision}", "--backend", "tensorrt", "--acceptance", str(packed), "--force")
    return Command(
        _script(site.tensorrt_python, "export/build_engine.py", str(network), *options, "--output", str(engine)),
        output=engine.with_name(f"{engine.name}.json"),
        unavailable=site.no_engines,
    )


def _training(site: Site) -> tuple[Command, ...]:
    """Whole runs get most of the time; the loop that is compiled comes last."""
    runs = [_trained(site, recipe) for recipe in site.recipes]
    return (
        _train_speed(site, "train_speed"),
        *runs,
        _train_speed(site, "train_speed_compiled", "--networks", "osnet_x1_0", "--compile"),
    )


def _train_speed(site: Site, name: str, *options: str) -> Command:
    output = site.work / f"{name}.json"
    return Command(
        _script(
            site.python,
            "benchmarks/train_speed.py",
            "--rounds",
            "1",
            "--steps",
            "100",
            *options,
            "--output",
            str(output),
        ),
        weight=2,
        output=output,
        unavailable=site.no_device,
    )


def _trained(site: Site, recipe: str) -> Command:
    output = site.work / f"training_{recipe.replace(':', '-')}.json"
    folders = ("--runs", str(site.work / "runs"), "--keep", str(site.records), "--output", str(output))
    return Command(
        _script(
            site.python,
            "benchmarks/training_in_time.py",
            recipe,
            *("--data", str(site.data), "--seconds", LIMIT_S, *folders),
        ),
        weight=3,
        output=output,
        unavailable=site.no_device,
    )


def _crop_kernel(site: Site) -> tuple[Command, ...]:
    script = _script(site.tensorrt_python, "benchmarks/gpu_cropping.py")
    return (Command(script, unavailable=site.no_device),)


def _script(python: str, path: str, *options: str) -> tuple[str, ...]:
    return (python, str(ROOT / path), *options)

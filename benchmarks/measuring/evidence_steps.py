"""What is measured whenever a GPU is there, as commands of the project's own scripts, most important first."""

from dataclasses import dataclass
from pathlib import Path

from measuring.step import Command, Step

ROOT = Path(__file__).resolve().parent.parent.parent
_MODELS = ROOT / "edge_runtime" / "models"
_CALIBRATION = ROOT / "benchmarks" / "records" / "calibration_cuhk03.json"
_BRANCHED = ("--architectures", "plr_osnet", "mgn", "pyramid", "--sizes", "256x128", "384x128")


@dataclass(frozen=True)
class Site:
    """The machine. no_device, no_tensorrt: why something cannot be done here, None where it can."""

    python: str
    tensorrt_python: str
    work: Path
    data: Path
    checkpoint: Path | None
    recipes: tuple[str, ...]
    no_device: str | None
    no_tensorrt: str | None


def steps(site: Site) -> tuple[Step, ...]:
    """All of them, in order; weights are minutes of 25."""
    return (
        Step("tensorrt", "TensorRT builds and runs engines that agree with ONNX Runtime", 3, _tensorrt(site)),
        Step("latency", "engines and graphs beside PyTorch eager, compiled and as CUDA graphs", 8, _latency(site)),
        Step("accuracy", "retrieval of checkpoint, ONNX files and engines, and across precisions", 4, _accuracy(site)),
        Step("training", "training speed beside Torchreid's loop, and whole runs", 8.5, _training(site)),
        Step("crop_kernel", "cropping on the GPU beside the host path", 1.5, _crop_kernel(site)),
    )


def _tensorrt(site: Site) -> tuple[Command, ...]:
    script = _script(site.tensorrt_python, "benchmarks/tensorrt_smoke.py", "--data", str(site.data))
    return (Command(script, unavailable=site.no_device or site.no_tensorrt),)


def _latency(site: Site) -> tuple[Command, ...]:
    """The networks that matter in every graph first, then what PyTorch does, then the whole grid."""
    wide = ("--architectures", "osnet_x1_0", "osnet_x0_25", "--sizes", "256x128")
    graphs = ("--graphs", "plain", "stack", "end", "end_dense")
    compiled = ("--compile", "--architectures", "osnet_x1_0", "--sizes", "256x128")
    return (
        _timed(site, "engines", 3, "--backends", "tensorrt", *graphs, *wide),
        _timed(site, "pytorch", 1, "--backends", *wide),
        _timed(site, "compiled", 1, "--backends", *compiled, batches=("1", "32")),  # each batch is compiled anew
        _timed(site, "branched", 1, "--backends", *_BRANCHED),
        _timed(site, "grid", 2, "--backends", "tensorrt"),
    )


def _timed(
    site: Site, name: str, weight: float, *options: str, batches: tuple[str, ...] = ("1", "8", "32", "128")
) -> Command:
    needs_tensorrt = "tensorrt" in options
    python = site.tensorrt_python if needs_tensorrt else site.python
    output = site.work / f"latency_{name}.json"
    settings = ("--batches", *batches, "--rounds", "50", "--alone-s", "0", "--output", str(output))
    return Command(
        _script(python, "benchmarks/latency.py", "--grid", *options, *settings),
        weight=weight,
        output=output,
        unavailable=site.no_device or (site.no_tensorrt if needs_tensorrt else None),
    )


def _accuracy(site: Site) -> tuple[Command, ...]:
    """Half precision needs the checkpoint; without one the committed float32 file is quantised only."""
    models, data = site.work / "models", ("--data", str(site.data))
    no_engine = site.no_device or site.no_tensorrt
    made: list[Command] = []
    if site.checkpoint is None:
        network = _MODELS / "osnet_x0_25_cuhk03.onnx"
        files = [network]
    else:
        network = models / f"{site.checkpoint.stem}.onnx"
        files = [site.checkpoint, network, models / f"{site.checkpoint.stem}_fp16.onnx"]
        export = _script(site.python, "export/to_onnx.py", str(site.checkpoint), "--output", str(models), "--half")
        made.append(Command((*export, "--backend", "tensorrt"), unavailable=site.no_device))
        made.append(_built(site, network, models / "fp16.engine", "--fp16", unavailable=no_engine))
    made.append(
        _built(
            site, network, models / "int8.engine", "--int8", "--calibration", str(_CALIBRATION), unavailable=no_engine
        )
    )
    output = site.work / "accuracy.json"
    score = _script(site.tensorrt_python, "benchmarks/accuracy.py", *data, "--output", str(output))
    inputs = (*files, models / "fp16.engine", models / "int8.engine")
    return (*made, Command(score, weight=2, output=output, inputs=inputs, unavailable=site.no_device))


def _built(site: Site, network: Path, engine: Path, *options: str, unavailable: str | None) -> Command:
    script = _script(site.tensorrt_python, "export/build_engine.py", str(network), *options)
    where = ("--data", str(site.data), "--backend", "tensorrt", "--output", str(engine))
    return Command((*script, *where), unavailable=unavailable)


def _training(site: Site) -> tuple[Command, ...]:
    output = site.work / "train_speed.json"
    speed = _script(site.python, "benchmarks/train_speed.py", "--rounds", "2", "--output", str(output))
    runs = [_trained(site, recipe) for recipe in site.recipes]
    return (Command(speed, weight=2, output=output, unavailable=site.no_device), *runs)


def _trained(site: Site, recipe: str) -> Command:
    runs = site.work / "runs"
    options = ("--data", str(site.data), "--output", str(runs), "--evaluate-every", "50")
    return Command(
        _script(site.python, "train/run.py", recipe, *options),
        weight=3,
        output=runs / f"{recipe.replace(':', '-')}-seed0" / "scores.json",
        unavailable=site.no_device,
    )


def _crop_kernel(site: Site) -> tuple[Command, ...]:
    return (Command(_script(site.python, "benchmarks/crop_kernel.py"), unavailable=site.no_device),)


def _script(python: str, path: str, *options: str) -> tuple[str, ...]:
    return (python, str(ROOT / path), *options)

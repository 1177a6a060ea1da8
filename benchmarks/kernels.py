"""Count the kernels that TensorRT's builder makes of networks, which needs no GPU; write a record.

Small batches are bound by launches, so the count tells more than the arithmetic. It is the builder's own list of the
engine, without waits between streams. Other versions of TensorRT and other GPUs fuse in other ways.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring.machine import record_head
from benchmarks.measuring.records import record_folder, write_record
from calibration.onnx_graph import read_network
from edge_runtime.contract.errors import ExportError
from edge_runtime.contract.manifest import read_manifest
from edge_runtime.contract.script import ScriptParser, run
from edge_runtime.engine.tensorrt.library import load_tensorrt
from export.building.half_floats import with_half_floats
from export.building.tensorrt_versions import create_config, create_parser, network_flags

_ENTRY, _KIND = "Name: ", ", LayerType: "
_NO_KERNELS = ("signal", "wait")
_WORKSPACE_MIB = 512


@dataclass(frozen=True)
class KernelCount:
    """Kernels of one network. kept_in_float: groups of an INT8 network that are not quantised."""

    network: str
    graph: str
    precision: str
    kept_in_float: tuple[str, ...]
    kernels: int


def main(argv: list[str] | None = None) -> int:
    """Print a table and write the record. Returns the exit code."""
    parser = ScriptParser(
        purpose=__doc__,
        shortest="networks/osnet_x0_25_256x128/end_dense_fp16.onnx",
        next_step="benchmarks/README.md shows the record as a table",
        examples="example: python benchmarks/random_networks.py osnet_x0_25 --graphs plain end_dense "
        "--output networks && python benchmarks/kernels.py networks/*/*.onnx",
    )
    parser.add_argument("models", type=Path, nargs="+", help="ONNX files GRAPH_PRECISION.onnx of random_networks.py")
    parser.add_argument("--batch", type=int, default=8, help="of the engine's only profile (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="default: benchmarks/records/MACHINE/kernels_tensorrt.json")
    arguments = parser.parse_args(argv)
    trt = load_tensorrt()
    counts = [count_kernels(trt, path, batch=arguments.batch) for path in arguments.models]
    record = record_head("kernels", libraries=("onnx", "onnxruntime")) | {
        "tensorrt": trt.__version__,
        "batch": arguments.batch,
        "method": "entries of the builder's own list of the engine, without signals and waits; nothing was run",
        "counts": [asdict(count) for count in counts],
    }
    write_record(arguments.output or record_folder() / "kernels_tensorrt.json", record)
    print("\n".join(f"{one.network:14}{one.graph:12}{one.precision:6}{one.kernels:>5}" for one in counts))
    return 0


def count_kernels(trt: Any, path: Path, *, batch: int) -> KernelCount:
    """Build a network and count its kernels.

    Raises:
        ExportError: TensorRT cannot build it.
    """
    manifest, model = read_manifest(path), read_network(path)
    precision = manifest.build.precision
    log = _verbose_log(trt)
    builder = trt.Builder(log)
    network = builder.create_network(network_flags(trt))
    parser = create_parser(trt, network)
    if not parser.parse((with_half_floats(model) if precision == "int8" else model).SerializeToString()):
        raise ExportError(f"TensorRT {trt.__version__} does not accept {path}; export it again")
    config = create_config(trt, builder, workspace_mib=_WORKSPACE_MIB, optimisation_level=3)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    profile, pixels = builder.create_optimization_profile(), network.get_input(0)
    profile.set_shape(pixels.name, *[(batch, *tuple(pixels.shape)[1:])] * 3)
    config.add_optimization_profile(profile)
    if builder.build_serialized_network(network, config) is None:
        raise ExportError(f"TensorRT {trt.__version__} cannot build {path}; see its messages above")
    kinds = [line.partition(_KIND)[2].partition(",")[0] for line in log.lines() if _is_entry(line)]
    return KernelCount(
        network=manifest.architecture,
        graph=path.stem.rpartition("_")[0] or path.stem,
        precision=precision,
        kept_in_float=manifest.build.kept_higher,
        kernels=sum(kind not in _NO_KERNELS for kind in kinds),
    )


def _is_entry(line: str) -> bool:
    return line.startswith(_ENTRY) and _KIND in line


def _verbose_log(trt: Any) -> Any:
    base: Any = trt.ILogger

    class Lines(base):  # type: ignore[misc]
        def __init__(self) -> None:
            base.__init__(self)
            self._messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            self._messages.append(message)

        def lines(self) -> list[str]:
            return "\n".join(self._messages).splitlines()

    return Lines()


if __name__ == "__main__":
    sys.exit(run(main))

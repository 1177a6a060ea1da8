"""An ONNX file to a TensorRT plan, with TensorRT 8.5 to 11.

Precision is in the ONNX file: half-precision weights, or Q/DQ nodes. TensorRT 10 and later follow the types of the file
(strongly typed networks); before that, the builder has to be allowed the precisions that the file holds. The layers
that INT8 leaves in float run in half precision with all versions.
"""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import onnx

from calibration.onnx_graph import read_network
from edge_runtime.contract.errors import EngineError, ExportError
from edge_runtime.contract.manifest import Build, Precision
from edge_runtime.contract.script import replace_file
from edge_runtime.engine.tensorrt.batch_buckets import batch_buckets
from edge_runtime.engine.tensorrt.cuda import Device, driver_unavailable, read_device
from edge_runtime.engine.tensorrt.library import is_strongly_typed, load_tensorrt, tensorrt_log
from export.building.half_floats import with_half_floats
from export.building.tensorrt_versions import (
    OPTIMISATION_LEVEL,
    allow_precisions,
    allow_profile_sharing,
    create_config,
    create_parser,
    network_flags,
)

logger = logging.getLogger(__name__)

_HOW_TO_GET = {
    "fp32": "give the float32 file of export/to_onnx.py",
    "fp16": "give the half-precision file of export/to_onnx.py",
    "int8": "quantise it with calibration/quantize.py first",
}
_SHOWN_FAULTS = 3


@dataclass(frozen=True)
class Target:
    """The TensorRT version and device that a plan runs on: fields of the manifest's `build`.

    The device is None only where TensorRT builds without a GPU, as in the tests; such a plan cannot be run.
    """

    tensorrt: str
    cuda: str | None
    gpu: str | None
    compute_capability: str | None
    l4t: str | None
    multiprocessors: int | None
    memory_gib: int | None
    board: str | None
    power_mode: str | None

    def build(
        self, precision: Precision, *, kept_higher: tuple[str, ...] = (), optimisation_level: int = OPTIMISATION_LEVEL
    ) -> Build:
        """The `build` entry of an engine's manifest."""
        device = {field.name: getattr(self, field.name) for field in fields(Target)}
        return Build(
            backend="tensorrt",
            precision=precision,
            kept_higher=kept_higher,
            optimisation_level=optimisation_level,
            **device,
        )


@dataclass(frozen=True)
class BuiltPlan(Target):
    """A serialized TensorRT engine, in TensorRT's own bytes, which `trtexec --loadEngine` takes."""

    plan: bytes


@dataclass(frozen=True)
class BatchSizes:
    """The batch sizes an engine accepts, and the one it is tuned for."""

    smallest: int
    best: int
    largest: int

    def __post_init__(self) -> None:
        """Refuse sizes that are not in order."""
        if not 1 <= self.smallest <= self.best <= self.largest:
            raise ExportError(
                f"batch sizes must satisfy 1 <= min <= opt <= max, found {self.smallest}, {self.best}, {self.largest}"
            )


def tensorrt_unavailable() -> str | None:
    """Say in one sentence why TensorRT cannot build for this machine; None if it can."""
    try:
        load_tensorrt()
        read_device()
    except EngineError as error:
        return str(error)
    return None


def read_target() -> Target:
    """The TensorRT version and device of this machine.

    Raises:
        ExportError: no TensorRT, or no usable GPU where there is a driver.
    """
    trt, device = _open_tensorrt()
    of_device = {field.name for field in fields(Target)} - {"tensorrt"}
    return Target(tensorrt=trt.__version__, **{name: getattr(device, name, None) for name in of_device})


def build_plan(
    onnx_path: Path,
    *,
    precision: Precision,
    batch: BatchSizes | None,
    workspace_mib: int,
    optimisation_level: int = OPTIMISATION_LEVEL,
    timing_cache: Path | None = None,
) -> BuiltPlan:
    """Build a TensorRT plan for this machine's GPU; it takes seconds to many minutes.

    batch: the network must have one input then, with a dynamic batch as its first axis; None for a network whose sizes
    are all fixed. timing_cache: is read if the file is there
    and fits, and written afterwards, so that the next build on this device is short.

    Raises:
        ExportError: no TensorRT or GPU; a file that is damaged, holds another precision, or an unsupported operator.
    """
    model = read_network(onnx_path)
    _check_precision(model, precision, path=onnx_path)
    trt, _ = _open_tensorrt()
    builder = _open_builder(trt)
    network = builder.create_network(network_flags(trt))
    if is_strongly_typed(trt) and _holds_int8(model):
        model = with_half_floats(model)
    parser = _parse(trt, network, path=onnx_path, model=model)
    config = create_config(trt, builder, workspace_mib=workspace_mib, optimisation_level=optimisation_level)
    allow_precisions(trt, config, half=_holds_half(model), int8=_holds_int8(model))
    allow_profile_sharing(trt, config)
    if batch is None:
        _check_fixed(network, onnx_path)
    else:
        _add_batch_profiles(builder, network, config=config, batch=batch)
    cache = _attach_timing_cache(config, timing_cache) if timing_cache else None

    logger.info("building %s for TensorRT %s, which takes seconds to many minutes", onnx_path, trt.__version__)
    plan = builder.build_serialized_network(network, config)
    del parser  # it owns the weights that the builder reads
    if plan is None:
        raise ExportError(f"TensorRT {trt.__version__} cannot build {onnx_path}: {tensorrt_log().take_errors()}")
    if timing_cache and cache is not None:
        replace_file(timing_cache, bytes(cache.serialize()))
    return BuiltPlan(**vars(read_target()), plan=bytes(plan))


def _check_fixed(network: Any, path: Path) -> None:
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    free = {tensor.name: tuple(tensor.shape) for tensor in tensors if any(size < 0 for size in tensor.shape)}
    if free:
        raise ExportError(
            f"expected inputs of fixed sizes in {path}, found {free}; export it for one image of one size"
        )


def _open_tensorrt() -> tuple[Any, Device | None]:
    try:
        return load_tensorrt(), None if driver_unavailable() else read_device()
    except EngineError as error:
        raise ExportError(f"cannot build a TensorRT engine: {error}; or build with --backend onnxruntime") from error


def _holds_half(model: Any) -> bool:
    return any(weights.data_type == onnx.TensorProto.FLOAT16 for weights in model.graph.initializer)


def _holds_int8(model: Any) -> bool:
    return any(node.op_type == "DequantizeLinear" for node in model.graph.node)


def _check_precision(model: Any, precision: Precision, *, path: Path) -> None:
    found = "int8" if _holds_int8(model) else "fp16" if _holds_half(model) else "fp32"
    if found != precision:
        raise ExportError(f"{path} holds a network in {found}, but {precision} was asked for; {_HOW_TO_GET[precision]}")
    zero_points = {name for node in model.graph.node if node.op_type == "QuantizeLinear" for name in node.input[2:]}
    unsigned = any(w.name in zero_points and w.data_type == onnx.TensorProto.UINT8 for w in model.graph.initializer)
    if unsigned:
        raise ExportError(
            f"{path} is quantised for ONNX Runtime (uint8 activations), and TensorRT takes int8 ones only; "
            "quantise the float32 file again with calibration/quantize.py --backend tensorrt"
        )


def _open_builder(trt: Any) -> Any:
    try:
        return trt.Builder(tensorrt_log())
    except TypeError as error:  # its factory returned null: CUDA does not start
        reason = driver_unavailable() or tensorrt_log().take_errors()
        raise ExportError(
            f"TensorRT {trt.__version__} cannot start: {reason}; build on the device, or with --backend onnxruntime"
        ) from error


def _parse(trt: Any, network: Any, *, path: Path, model: Any) -> Any:
    """Fill the network with the model of that file. The parser must outlive the build."""
    parser = create_parser(trt, network)
    if not parser.parse(model.SerializeToString()):
        raise ExportError(
            f"TensorRT {trt.__version__} does not accept {path}: {_parser_faults(parser, model)}; "
            "change the network, or build with --backend onnxruntime"
        )
    return parser


def _parser_faults(parser: Any, model: Any) -> str:
    faults = []
    for index in range(parser.num_errors):
        fault = parser.get_error(index)
        place = "the file"
        if 0 <= fault.node() < len(model.graph.node):
            node = model.graph.node[fault.node()]
            place = f"operator {node.op_type} (node {node.name or fault.node()!r})"
        faults.append(f"{place}: {' '.join(fault.desc().split())}")
    more = f"; and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
    return ("; ".join(faults[:_SHOWN_FAULTS]) or tensorrt_log().take_errors()) + more


def _add_batch_profiles(builder: Any, network: Any, *, config: Any, batch: BatchSizes) -> None:
    """One profile for each batch size that runs are recorded for, so that each gets tactics of its own."""
    shapes = {}
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shapes[tensor.name] = tuple(tensor.shape)
    if [[size < 0 for size in shape] for shape in shapes.values()] != [[True, False, False, False]]:
        raise ExportError(
            f"expected one input (batch, height, width, 3) in which only the batch is dynamic, found {shapes}; "
            "export it again"
        )
    [(name, (_, *sizes))] = shapes.items()
    for count in batch_buckets(smallest=batch.smallest, best=batch.best, largest=batch.largest):
        profile = builder.create_optimization_profile()
        profile.set_shape(name, *[(count, *sizes)] * 3)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"TensorRT refuses a batch of {count}: {tensorrt_log().take_errors()}")


def _attach_timing_cache(config: Any, path: Path) -> Any:
    """Attach the cache of an earlier build on this device, or a new one if it does not fit."""
    stored = path.read_bytes() if path.exists() else b""
    cache = config.create_timing_cache(stored)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        logger.warning("the timing cache %s is of another TensorRT or GPU, so a new one is made", path)
        cache = config.create_timing_cache(b"")
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            raise ExportError(f"TensorRT refuses a timing cache: {tensorrt_log().take_errors()}")
    return cache

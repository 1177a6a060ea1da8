"""The precision plan: how activation ranges are chosen and which layer groups stay in float, for one backend."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from calibration.layer_groups import LAYER_GROUPS, LayerGroup
from edge_runtime.contract.errors import ConfigError
from edge_runtime.contract.script import replace_file

TargetBackend = Literal["onnxruntime", "openvino", "tensorrt"]
"""What will run a quantised network; decides the type of its activations."""
Activations = Literal["uint8", "uint8 inputs", "int8"]
"""Type of quantised tensors. `uint8 inputs`: only what convolutions read is quantised, not what they give: SiLU stays
in float between two convolutions, as OpenVINO computes it in the same step."""
Method = Literal["max", "percentile", "entropy", "mse", "descriptor"]
"""How the range of a tensor is chosen: `descriptor` by what it costs the descriptor, see `range_search.cut_ranges`, the
others by the tensor's own values, see `ranges.choose_range`."""
PERCENTILE = 99.99
"""What `percentile` keeps of a tensor's values, in percent."""


class GroupCost(BaseModel):
    """What quantising one group of layers was measured to cost and to save.

    loss: mean of 1 - cosine to float32 with only this group quantised. lost_map: percentage points of mAP.
    saved_us: microseconds per image, with the rest of the plan as it is; negative where float is faster.
    low_us, high_us: quartiles of `saved_us` over the timed rounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: LayerGroup
    loss: float
    lost_map: float
    saved_us: float
    low_us: float
    high_us: float


class PrecisionPlan(BaseModel):
    """How a network is quantised for one backend.

    method: see `ranges.choose_range`. equalised: whether `rewrites/equalisation.py` runs first. kept_in_float: groups
    that are not quantised. quantizes: all tensors along a chain of INT8 steps, or only what convolutions read.
    decided_by: the record or the machine that the plan comes from. measured: the measurements
    it was made from, empty where it was not measured here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    backend: TargetBackend
    method: Method = "max"
    equalised: bool = True
    kept_in_float: tuple[LayerGroup, ...]
    quantizes: Literal["chains", "inputs"] = "chains"
    decided_by: str
    measured: tuple[GroupCost, ...] = ()

    @property
    def activations(self) -> Activations:
        """The type of activations of its backend."""
        of_backend = activations_of(self.backend)
        return "uint8 inputs" if of_backend == "uint8" and self.quantizes == "inputs" else of_backend


def activations_of(backend: TargetBackend) -> Activations:
    """The type of activations that a backend runs fast: TensorRT accepts only int8."""
    return "int8" if backend == "tensorrt" else "uint8"


DETECTOR_PLANS = tuple(
    PrecisionPlan(
        backend=backend,
        equalised=False,
        kept_in_float=("stem", "depthwise", "heads"),
        quantizes="inputs",
        decided_by="benchmarks/records/cpu-epyc/detector_groups.json",
    )
    for backend in get_args(TargetBackend)
)
"""The same for detection networks: depthwise convolutions in INT8 cost YOLOX-nano a sixth of the people it finds."""
# ONNX Runtime is fastest when INT8 steps follow each other without a gap, OpenVINO when gates and sums stay in float.
DEFAULT_PLANS = (
    PrecisionPlan(
        backend="onnxruntime",
        kept_in_float=("descriptor",),
        decided_by="benchmarks/records/cpu-epyc/sensitivity_osnet_x1_0_onnxruntime.json",
    ),
    PrecisionPlan(
        backend="openvino",
        kept_in_float=("gates", "sums", "descriptor"),
        decided_by="benchmarks/records/cpu-epyc/sensitivity_osnet_x0_25_openvino.json",
    ),
    PrecisionPlan(
        backend="tensorrt",
        kept_in_float=("stem", "depthwise", "gates", "sums", "residuals", "descriptor"),
        decided_by="not measured: no GPU was there; kernels were counted, and depthwise convolutions gain none",
    ),
)
"""One row per backend: what is done where no plan is given."""


def default_precision_plan(backend: TargetBackend) -> PrecisionPlan:
    """The row of `DEFAULT_PLANS` for a backend."""
    return next(plan for plan in DEFAULT_PLANS if plan.backend == backend)


def choose_groups(costs: Sequence[GroupCost], *, largest_loss: float) -> tuple[LayerGroup, ...]:
    """Choose the groups that stay in float: those that save no time in INT8, and those that lose too much.

    The other groups are quantised in the order of their loss per saved microsecond, as long as the sum of their losses
    stays within `largest_loss`; losses of groups add up almost linearly.
    """
    kept = {cost.group for cost in costs}
    total = 0.0
    for cost in sorted((cost for cost in costs if cost.saved_us > 0), key=lambda cost: cost.loss / cost.saved_us):
        if total + cost.loss <= largest_loss:
            total += cost.loss
            kept.remove(cost.group)
    return tuple(group for group in LAYER_GROUPS if group in kept)


def read_precision_plan(path: Path) -> PrecisionPlan:
    """Read a file of export/building/sensitivity.py.

    Raises:
        ConfigError: the file cannot be read, or is no precision plan.
    """
    try:
        return PrecisionPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"cannot read the precision plan {path}: {error.strerror}; write it with export/building/sensitivity.py"
        ) from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}" for fault in error.errors())
        raise ConfigError(
            f"{path} is no precision plan of export/building/sensitivity.py: {faults}; write it again"
        ) from error


def write_precision_plan(plan: PrecisionPlan, path: Path) -> None:
    """Write a precision plan, atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        replace_file(path, plan.model_dump_json(indent=2) + "\n")
    except OSError as error:
        raise ConfigError(f"cannot write the precision plan {path}: {error.strerror}; give another --output") from error
